/**
 * The engine where the browser has no Media Source Extensions but plays HLS by itself: iPhones before iOS 17.1. It chooses the rung and
 * keeps its distance to the live edge on its own; the page says what to play and where. Owns the media element's source.
 */

import { checkPlaylist, MANIFEST_OK, playlistOf } from '../core/manifest-check.js';
import { seekRange } from '../core/timeline.js';
import { Playback } from './playback.js';

/** The type of a playlist (RFC 8216, 4). */
const PLAYLIST_TYPE = 'application/vnd.apple.mpegurl';
/** `HTMLMediaElement.error` names, by number. */
const ERRORS = ['unknown', 'aborted', 'network', 'decode', 'source not supported'];

/** Whether this browser plays HLS by itself. */
export function playsNatively() {
  return document.createElement('video').canPlayType(PLAYLIST_TYPE) !== '';
}

export class NativeEngine extends Playback {
  constructor(video, tell) {
    super(video, tell);
    this.player = null;
    video.addEventListener('ended', () => this.finished());
    video.addEventListener('durationchange', () => this.tell({ type: 'changed' }));
    video.addEventListener('error', () => {
      const { code = 0, message = '' } = video.error ?? {};
      this.note(code, message || ERRORS[code] || ERRORS[0]);
      this.tell({ type: 'failed' });
    });
  }

  /** Loads a manifest's HLS twin: a load effect of the state machine. */
  load({ manifest, broadcast, from }) {
    const playlist = playlistOf(manifest);
    return this.loadFrom(
      playlist,
      broadcast,
      (text) => checkPlaylist(text, broadcast) === MANIFEST_OK,
      (resume) => {
        const { video } = this;
        const at = { live: null, start: 0, resume }[from];
        video.src = playlist;
        if (at !== null) video.addEventListener('loadedmetadata', () => this.seek(at), { once: true });
        this.play();
      },
    );
  }

  play() {
    // Refused when the page may not play by itself: the big button stands for that.
    if (this.attached) this.video.play().catch(() => this.tell({ type: 'changed' }));
  }

  pause() {
    if (this.attached) this.video.pause();
  }

  /** Moves the playhead to a time of the media timeline, in seconds. */
  seek(time) {
    if (this.ready) this.video.currentTime = time;
  }

  /** Moves to the live edge and plays. */
  goLive() {
    const range = this.range();
    if (range === null) return;
    this.seek(range.end);
    this.play();
  }

  get dynamic() {
    return this.ready && this.video.duration === Infinity;
  }

  /** What can be seeked in, {start, end} in seconds of the media timeline, or null. */
  range() {
    if (!this.ready) return null;
    const { seekable, duration } = this.video;
    const known = seekable.length > 0;
    return seekRange({
      dynamic: this.dynamic,
      windowStart: known ? seekable.start(0) : NaN,
      windowEnd: known ? seekable.end(seekable.length - 1) : NaN,
      // The browser's live edge is where it would play.
      targetDelay: 0,
      duration,
    });
  }

  /** Wall-clock time, in milliseconds, of a media time, by the playlist's `EXT-X-PROGRAM-DATE-TIME`; null when the browser does not tell. */
  wallClock(time) {
    const start = this.video.getStartDate?.().getTime() ?? NaN;
    return this.dynamic && Number.isFinite(start) ? start + time * 1000 : null;
  }

  /** None: HLS has no such thing that browsers know. */
  preview() {
    return null;
  }

  /** None to choose from: the browser chooses. */
  rungs() {
    return [];
  }

  /** The size of the picture being shown, or null; its bit rate is not known. */
  rung() {
    const { videoWidth, videoHeight } = this.video;
    return this.ready && videoHeight > 0 ? { id: null, width: videoWidth, height: videoHeight, bandwidth: null } : null;
  }

  /** The browser chooses. */
  choose() {
    return undefined;
  }

  /** Seconds from the camera's "now" to the picture, by this device's clock, or null. */
  latency() {
    const wall = this.wallClock(this.video.currentTime);
    return wall === null ? null : (Date.now() - wall) / 1000;
  }

  /** Not known. */
  targetLatency() {
    return null;
  }
}
