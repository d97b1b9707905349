/**
 * What every engine has in common: the media element, what went wrong and what stood still, the numbers of
 * `window.gopcast.stats()`. An engine (`engine.js`: dash.js; `native.js`: the browser itself) adds how a stream is loaded and asked about.
 */

import { StallMeter } from '../core/stall-meter.js';
import { bufferedUntil } from '../core/timeline.js';
import { fetchText, NotFound } from './fetch.js';

/** Errors kept for diagnostics; the newest. */
const ERRORS_KEPT = 20;
/** The playhead standing this long at the very end of an ended stream counts as finished, in seconds. */
const END_PATIENCE_S = 4;
/** Nothing to show this long after the manifest was there counts as failed, in seconds: loading is begun anew. */
const START_PATIENCE_S = 20;
/** A stall this long counts as failed, in seconds: the player's own tries are over by then. */
const STALL_PATIENCE_S = 25;

export class Playback {
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
    this.#listen();
  }

  /**
   * Reads a manifest and gives it to `check(text)`; on true, `attach(resume)` is called with the time that `broadcast` was left at.
   * A load under way is given up.
   */
  async loadFrom(manifest, broadcast, check, attach) {
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
      if (!(error instanceof NotFound)) this.note('manifest', error.message);
      this.tell({ type: error instanceof NotFound ? 'manifest-missing' : 'failed' });
      return;
    }
    if (loading.signal.aborted) return;
    this.loading = null;
    if (!check(text)) {
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
      this.note('start', 'no picture in time');
      this.tell({ type: 'failed' });
    }, START_PATIENCE_S * 1000);
    attach(resume);
  }

  /** Gives up a load under way; what plays goes on. */
  stop() {
    this.loading?.abort();
    this.loading = null;
    clearTimeout(this.startTimer);
  }

  /** Whether a stream is loaded far enough to be asked about. */
  get ready() {
    return this.attached && this.video.readyState > 0;
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
    this.note('stall', 'no data in time');
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

  /** Playback is over: `last` is false when more is to come by itself. */
  finished(last = true) {
    this.meter.stopped(now());
    if (last) this.tell({ type: 'finished' });
  }

  /** Keeps an error for diagnostics. */
  note(code, message) {
    this.errorCount += 1;
    this.errors.push({ time: new Date().toISOString(), code, message: message.slice(0, 300) });
    if (this.errors.length > ERRORS_KEPT) this.errors.shift();
  }

  #listen() {
    const { video, meter } = this;
    const on = (name, handler) => video.addEventListener(name, handler);
    on('playing', () => {
      // There was a picture: a wait later on, after a seek for one, is another matter.
      clearTimeout(this.startTimer);
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
  }
}

/** Seconds of a clock that never jumps. */
export function now() {
  return performance.now() / 1000;
}
