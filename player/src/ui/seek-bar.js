/**
 * The seek bar: a native range input for keyboard and screen readers, painted by elements of our own.
 * While a finger or the mouse holds it, it shows where that is, and the picture of that moment; the seek happens on release.
 */

import { clock, spokenDuration } from '../core/format.js';
import { atLiveEdge, behindLive, bufferedUntil, fraction, timeAt } from '../core/timeline.js';
import { byId, setText, show } from './dom.js';
import { Preview } from './preview.js';

const SCALE = 1000;

export class SeekBar {
  /** `engine` is asked for range and time; `onSeek(time)` is called with seconds of the media timeline. */
  constructor(engine, onSeek) {
    this.engine = engine;
    this.bar = byId('seek');
    this.input = byId('seek-input');
    this.tip = byId('seek-tip');
    this.tipText = byId('seek-time');
    this.preview = new Preview();
    this.held = false;
    this.range = null;
    const { input } = this;
    input.addEventListener('pointerdown', () => (this.held = true));
    input.addEventListener('input', () => this.#drag());
    input.addEventListener('change', () => {
      this.held = false;
      if (this.range === null) return;
      const part = Number(input.value) / SCALE;
      onSeek(timeAt(this.range, part), part >= 0.995);
    });
    for (const name of ['pointerup', 'pointercancel', 'blur']) {
      // "change" comes first when there is one.
      input.addEventListener(name, () => queueMicrotask(() => (this.held = false)));
    }
    this.bar.addEventListener('pointermove', (event) => this.#hover(event));
    this.bar.addEventListener('pointerleave', () => this.#hideTip());
  }

  /** Shows the present state. */
  render(time) {
    const { engine, input } = this;
    this.range = engine.range();
    input.disabled = this.range === null;
    this.bar.classList.toggle('is-off', this.range === null);
    if (this.held) return;
    const part = this.range === null ? 0 : fraction(this.range, time);
    // At the edge the knob stays put: it would tremble by the size of a segment.
    const shown = engine.dynamic && atLiveEdge(this.range, time) ? 1 : part;
    this.#paint(shown);
    input.value = String(shown * SCALE);
    const { buffered } = engine.video;
    const spans = Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]);
    this.bar.style.setProperty('--buffered', String(this.range === null ? 0 : fraction(this.range, bufferedUntil(spans, time))));
    input.setAttribute('aria-valuetext', this.#spoken(time));
  }

  #drag() {
    if (this.range === null) return;
    const part = Number(this.input.value) / SCALE;
    this.#paint(part);
    this.#showTip(part);
  }

  #paint(part) {
    this.bar.style.setProperty('--played', part.toFixed(4));
  }

  #hover(event) {
    if (this.range === null || (event.pointerType === 'touch' && !this.held)) return;
    const box = this.bar.getBoundingClientRect();
    if (box.width > 0) this.#showTip(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
  }

  #showTip(part) {
    const time = timeAt(this.range, part);
    setText(this.tipText, this.engine.dynamic ? this.#behind(time) : clock(time));
    this.bar.style.setProperty('--tip', String(part));
    show(this.tip, true);
    this.preview.show(this.engine.preview(time), this.bar.clientWidth);
  }

  #hideTip() {
    show(this.tip, false);
    this.preview.show(null);
  }

  #behind(time) {
    return atLiveEdge(this.range, time) ? 'Live' : `−${clock(behindLive(this.range, time))}`;
  }

  #spoken(time) {
    if (this.range === null) return 'not known yet';
    if (!this.engine.dynamic) return `${spokenDuration(time)} of ${spokenDuration(this.range.end)}`;
    return atLiveEdge(this.range, time) ? 'live' : `${spokenDuration(behindLive(this.range, time))} behind live`;
  }
}
