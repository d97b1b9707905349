/**
 * The player engine: dash.js with this product's settings, its errors sorted into "goes on by itself"
 * and "failed", and what the page needs to know in plain numbers. Owns the media element's source.
 */

import { Debug, MediaPlayer } from 'dashjs';
import { checkManifest, MANIFEST_OK } from '../core/manifest-check.js';
import { replayTime } from '../core/replay-time.js';
import { StallMeter } from '../core/stall-meter.js';
import { bufferedUntil, seekRange } from '../core/timeline.js';
import { fetchText, NotFound } from './fetch.js';

/** Where the clock is asked for when a manifest does not say; the same clock the manifests name. */
const CLOCK = { scheme: 'urn:mpeg:dash:utc:http-iso:2014', value: '/time' };
/** Errors kept for diagnostics; the newest. */
const ERRORS_KEPT = 20;
/** The playhead standing this long at the very end of an ended stream counts as finished, in seconds. */
const END_PATIENCE_S = 4;
/** Nothing to show this long after the manifest was there counts as failed, in seconds: loading is begun anew. */
const START_PATIENCE_S = 20;
/** A stall this long counts as failed, in seconds: the player's own tries are over by then. */
const STALL_PATIENCE_S = 25;
/** A moment that is at another place in the replay by less than this, in seconds, is at the same. */
const MOVED_S = 0.25;
/** dash.js numbers: the time could not be synchronised (it then uses the device's clock, which is no failure). */
const TIME_SYNC_FAILED = 16;

const SETTINGS = {
  debug: { logLevel: Debug.LOG_LEVEL_NONE },
  streaming: {
    delay: { useSuggestedPresentationDelay: true },
    // Get back to the manifest's delay after a stall by playing 5 % faster, inaudibly; never by a jump: 0 turns that off.
    liveCatchup: { enabled: true, maxDrift: 0, playbackRate: { min: -0.04, max: 0.05 } },
    utcSynchronization: { enabled: true, useManifestDateHeaderTimeSource: false, defaultTimingSource: CLOCK },
    retryAttempts: { MPD: 4, MediaSegment: 5, InitializationSegment: 5 },
    retryIntervals: { MPD: 700, MediaSegment: 700, InitializationSegment: 700 },
    // Keep what was watched for a minute: a short rewind costs no request.
    buffer: { bufferToKeep: 60 },
    text: { defaultEnabled: false },
  },
};

/** Whether this browser can play at all. */
export function supported() {
  return 'MediaSource' in window || 'ManagedMediaSource' in window;
}

export class Engine {
  /**
   * `video` is the element; `tell(event)` is given `{type: 'playing' | 'finished' | 'failed' | 'manifest-missing'}`
   * and `{type: 'changed'}` when rungs or the kind of stream may have.
   */
  constructor(video, tell) {
    this.video = video;
    this.tell = tell;
    this.meter = new StallMeter();
    this.errors = [];
    this.errorCount = 0;
    this.broadcast = null;
    this.manifest = null;
    this.attached = false;
    this.loading = null;
    this.lastTime = 0;
    this.startTimer = null;
    this.stillSince = null;
    this.player = MediaPlayer().create();
    this.player.initialize();
    this.player.updateSettings(SETTINGS);
    this.player.clearDefaultUTCTimingSources();
    this.player.addUTCTimingSource(CLOCK.scheme, CLOCK.value);
    this.player.attachView(video);
    this.#listen();
  }

  /** Loads a manifest: a load effect of the state machine. A load under way is given up. */
  async load({ manifest, broadcast, from }) {
    this.stop();
    const loading = new AbortController();
    this.loading = loading;
    const resume = this.broadcast === broadcast ? this.lastTime : 0;
    let text;
    try {
      text = await fetchText(manifest, loading.signal);
    } catch (error) {
      if (loading.signal.aborted) return;
      this.loading = null;
      if (!(error instanceof NotFound)) this.#note('manifest', error.message);
      this.tell({ type: error instanceof NotFound ? 'manifest-missing' : 'failed' });
      return;
    }
    if (loading.signal.aborted) return;
    this.loading = null;
    const verdict = checkManifest(text, broadcast);
    if (verdict !== MANIFEST_OK) {
      // The manifest of the show before, one too young, or an error page: none is there to stay.
      this.tell({ type: 'manifest-missing' });
      return;
    }
    this.broadcast = broadcast;
    this.manifest = manifest;
    this.meter.reloaded(now());
    this.stillSince = null;
    this.attached = true;
    this.startTimer = setTimeout(() => {
      if (this.video.readyState > 1) return;
      this.#note('start', 'no picture in time');
      this.tell({ type: 'failed' });
    }, START_PATIENCE_S * 1000);
    const at = { live: undefined, start: 0, resume }[from];
    this.player.setAutoPlay(true);
    this.player.attachSource(manifest, at);
  }

  /** Gives up a load under way; what plays goes on. */
  stop() {
    this.loading?.abort();
    this.loading = null;
    clearTimeout(this.startTimer);
  }

  play() {
    if (this.attached) this.player.play();
  }

  pause() {
    if (this.attached) this.player.pause();
  }

  /** Moves the playhead to a time of the media timeline, in seconds. */
  seek(time) {
    if (this.ready) this.player.seekToPresentationTime(time);
  }

  /** Moves to the live edge and plays. */
  goLive() {
    if (!this.ready) return;
    this.player.seekToOriginalLive();
    this.player.play();
  }

  /** Whether a stream is loaded far enough to be asked about. */
  get ready() {
    return this.attached && this.video.readyState > 0;
  }

  get dynamic() {
    return this.ready && this.player.isDynamic();
  }

  /** What can be seeked in, {start, end} in seconds of the media timeline, or null. */
  range() {
    if (!this.ready) return null;
    const dynamic = this.player.isDynamic();
    const dvr = dynamic ? this.player.getDvrWindow() : {};
    return seekRange({
      dynamic,
      windowStart: dvr.start,
      windowEnd: dvr.end,
      targetDelay: dynamic ? this.player.getTargetLiveDelay() : 0,
      duration: this.video.duration,
    });
  }

  /** Wall-clock time, in milliseconds, of a media time of a live stream; null in a replay. */
  wallClock(time) {
    if (!this.dynamic) return null;
    const { start, startAsUtc } = this.player.getDvrWindow();
    return Number.isFinite(startAsUtc) ? (startAsUtc + time - start) * 1000 : null;
  }

  /** The video rungs, highest first: {id, width, height, bandwidth}. */
  rungs() {
    if (!this.ready) return [];
    return this.player
      .getRepresentationsByType('video')
      .map(({ id, width, height, bandwidth }) => ({ id, width, height, bandwidth }))
      .sort((a, b) => b.bandwidth - a.bandwidth);
  }

  /** The rung being loaded, or null. */
  rung() {
    if (!this.ready) return null;
    const at = this.player.getCurrentRepresentationForType('video');
    return at ? { id: at.id, width: at.width, height: at.height, bandwidth: at.bandwidth } : null;
  }

  /** Keeps to one rung, or with null lets the player choose. */
  choose(id) {
    this.player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: id === null } } } });
    // Replace what is buffered: who asks for another quality wants to see it.
    if (id !== null && this.ready) this.player.setRepresentationForTypeById('video', id, true);
  }

  /** Seconds from the camera's "now" to the picture, or null in a replay. */
  latency() {
    if (!this.dynamic) return null;
    const value = this.player.getCurrentLiveLatency();
    return Number.isFinite(value) ? value : null;
  }

  /** The delay the player aims at, in seconds, or null in a replay. */
  targetLatency() {
    return this.dynamic ? this.player.getTargetLiveDelay() : null;
  }

  /** Seconds of media ahead of the playhead. */
  bufferSeconds() {
    const { buffered, currentTime } = this.video;
    const spans = Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]);
    return Math.max(0, bufferedUntil(spans, currentTime) - currentTime);
  }

  /** The numbers of `window.gopcast.stats()`; the page adds its state. */
  stats() {
    const quality = this.video.getVideoPlaybackQuality?.();
    const rung = this.rung();
    return {
      latency: this.latency(),
      targetLatency: this.targetLatency(),
      bufferSeconds: this.bufferSeconds(),
      rung: rung === null ? null : { height: rung.height, width: rung.width, bandwidth: rung.bandwidth },
      ...this.meter.totals(now()),
      droppedFrames: quality?.droppedVideoFrames ?? 0,
      totalFrames: quality?.totalVideoFrames ?? 0,
      errors: this.errorCount,
      errorLog: [...this.errors],
      currentTime: this.video.currentTime,
      playbackRate: this.video.playbackRate,
      broadcast: this.broadcast,
    };
  }

  /** To be called now and then while it plays: a stall that nothing ends is a failure, though no error tells of it. */
  watchForStall() {
    if (this.meter.standing(now()) < STALL_PATIENCE_S) return;
    this.meter.stopped(now());
    this.#note('stall', 'no data in time');
    this.tell({ type: 'failed' });
  }

  /** To be called now and then while the broadcast is known to be over: the last frame may come without an "ended". */
  watchForEnd() {
    const { video } = this;
    if (video.paused || video.readyState > 2 || video.seeking) {
      this.stillSince = null;
      return;
    }
    this.stillSince ??= now();
    if (now() - this.stillSince > END_PATIENCE_S) this.tell({ type: 'finished' });
  }

  #listen() {
    const { player, video, meter } = this;
    const { events } = MediaPlayer;
    const on = (name, handler) => video.addEventListener(name, handler);
    on('playing', () => {
      meter.progressing(now());
      this.tell({ type: 'playing' });
    });
    on('timeupdate', () => {
      if (video.seeking) return;
      if (meter.stalled && video.readyState > 2 && video.currentTime !== this.lastTime) meter.progressing(now());
      if (video.currentTime > 0) this.lastTime = video.currentTime;
    });
    on('waiting', () => meter.waiting(now(), video.paused));
    on('seeking', () => meter.seeking(now()));
    on('pause', () => meter.stopped(now()));
    // Not the element's own event: a last frame that outlasts the manifest's duration would keep it from coming.
    player.on(events.PLAYBACK_ENDED, ({ isLast }) => {
      meter.stopped(now());
      if (isLast !== false) this.tell({ type: 'finished' });
    });
    player.on(events.ERROR, ({ error }) => this.#failed(error));
    player.on(events.PLAYBACK_ERROR, ({ error }) => this.#failed(error));
    for (const name of [events.STREAM_INITIALIZED, events.QUALITY_CHANGE_RENDERED, events.DYNAMIC_TO_STATIC]) {
      player.on(name, () => this.tell({ type: 'changed' }));
    }
    player.on(events.DYNAMIC_TO_STATIC, () => void this.#settle());
  }

  /**
   * The show is over, and the manifest is static. If it is the replay already and the show had holes, what plays now is at another
   * place there: go on at that place. Else what plays plays to its end.
   */
  async #settle() {
    // Something else is about to play.
    if (this.loading !== null) return;
    const loading = new AbortController();
    this.loading = loading;
    const at = this.lastTime;
    const text = await fetchText(this.manifest, loading.signal).catch(() => '');
    if (loading.signal.aborted) return;
    this.loading = null;
    const place = checkManifest(text, this.broadcast) === MANIFEST_OK ? replayTime(text, at) : null;
    if (place === null || Math.abs(place - at) < MOVED_S) return;
    this.meter.reloaded(now());
    this.lastTime = place;
    this.player.setAutoPlay(!this.video.paused);
    this.player.attachSource(this.manifest, place);
  }

  #failed(error) {
    const code = error?.code ?? 0;
    this.#note(code, String(error?.message ?? error ?? 'unknown'));
    if (code !== TIME_SYNC_FAILED) this.tell({ type: 'failed' });
  }

  #note(code, message) {
    this.errorCount += 1;
    this.errors.push({ time: new Date().toISOString(), code, message: message.slice(0, 300) });
    if (this.errors.length > ERRORS_KEPT) this.errors.shift();
  }
}

/** Seconds of a clock that never jumps. */
function now() {
  return performance.now() / 1000;
}
