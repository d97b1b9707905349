/**
 * The engine where the browser has Media Source Extensions: dash.js with this product's settings, its errors sorted into "goes on by
 * itself" and "failed", and what the page needs to know in plain numbers. Owns the media element's source.
 */

import { Debug, MediaPlayer } from 'dashjs';
import { cuesOf } from '../core/cues.js';
import { checkManifest, MANIFEST_OK } from '../core/manifest-check.js';
import { replayTime } from '../core/replay-time.js';
import { pictureAt, storyboardOf } from '../core/storyboard.js';
import { seekRange } from '../core/timeline.js';
import { fetchText } from './fetch.js';
import { now, Playback } from './playback.js';

/** Where the clock is asked for when a manifest does not say; the same clock the manifests name. */
const CLOCK = { scheme: 'urn:mpeg:dash:utc:http-iso:2014', value: '/time' };
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

export class Engine extends Playback {
  constructor(video, tell) {
    super(video, tell);
    /** Timed events of what plays. */
    this.cues = [];
    /** The manifest as it was read last, and the storyboards made of it when first asked for. */
    this.parsed = null;
    this.boards = null;
    this.player = MediaPlayer().create();
    this.player.initialize();
    this.player.updateSettings(SETTINGS);
    this.player.clearDefaultUTCTimingSources();
    this.player.addUTCTimingSource(CLOCK.scheme, CLOCK.value);
    this.player.attachView(video);
    this.#listen();
  }

  /** Loads a manifest: a load effect of the state machine. */
  load({ manifest, broadcast, from }) {
    return this.loadFrom(
      manifest,
      broadcast,
      (text) => checkManifest(text, broadcast) === MANIFEST_OK,
      (resume) => {
        this.cues = [];
        this.parsed = null;
        this.boards = null;
        this.player.setAutoPlay(true);
        this.player.attachSource(manifest, { live: undefined, start: 0, resume }[from]);
      },
    );
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

  /** The picture of a media time for who is about to seek there (see `pictureAt`), or null. */
  preview(time) {
    if (this.parsed === null) return null;
    this.boards ??= storyboardOf(this.parsed, new URL(this.manifest, location.href).href);
    return pictureAt(this.boards, time);
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

  #listen() {
    const { player } = this;
    const { events } = MediaPlayer;
    // Not the element's own event: a last frame that outlasts the manifest's duration would keep it from coming.
    player.on(events.PLAYBACK_ENDED, ({ isLast }) => this.finished(isLast !== false));
    // With every update of a live one, too.
    player.on(events.MANIFEST_LOADED, ({ data }) => {
      if (!data) return;
      this.cues = cuesOf(data);
      this.parsed = data;
      this.boards = null;
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
    this.note(code, String(error?.message ?? error ?? 'unknown'));
    if (code !== TIME_SYNC_FAILED) this.tell({ type: 'failed' });
  }
}
