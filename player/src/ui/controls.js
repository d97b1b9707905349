/**
 * The player's controls: buttons, sound, full screen, keys, and when they are seen. Reads the engine
 * and the element; holds no state of the show.
 */

import { clock } from '../core/format.js';
import { command } from '../core/keys.js';
import { atLiveEdge, behindLive, shifted, timeAt } from '../core/timeline.js';
import { recallNumber, rememberNumber } from '../io/memory.js';
import { byId, setText, show } from './dom.js';
import { icon, setIcon } from './icons.js';
import { QualityMenu } from './quality-menu.js';
import { SeekBar } from './seek-bar.js';

/** Controls fade this long after the last sign of life, in milliseconds. */
const FADE_MS = 3000;
/** A wait shorter than this shows no spinner, in milliseconds: it would only flicker. */
const SPINNER_AFTER_MS = 400;

export class Controls {
  /** `stats` is the panel, `again()` starts a finished replay anew. */
  constructor(engine, stats, again) {
    this.engine = engine;
    this.video = engine.video;
    this.statsPanel = stats;
    this.again = again;
    this.theatre = byId('theatre');
    this.stage = byId('stage');
    this.live = byId('live');
    this.time = byId('time');
    this.quality = new QualityMenu(engine);
    this.seekBar = new SeekBar(engine, (time, end) => this.seek(time, end));
    this.fadeTimer = null;
    this.spinnerTimer = null;
    this.video.volume = recallNumber('volume', 0, 1, 1);
    this.#buttons();
    this.#sound();
    this.#presence();
    this.#waiting();
    document.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('fullscreenchange', () => this.#full());
  }

  /** Shows the present state. `usable` is false while a curtain covers the picture. */
  render(usable) {
    const { video, engine } = this;
    show(byId('controls'), usable);
    show(byId('unmute'), usable && video.muted && !video.paused);
    show(byId('big-play'), usable && video.paused && engine.ready);
    this.stage.classList.toggle('is-paused', video.paused);
    if (!usable) {
      this.quality.close(false);
      show(byId('buffering'), false);
      return;
    }
    setIcon(byId('play'), video.paused ? 'play' : 'pause');
    byId('play').setAttribute('aria-label', video.paused ? 'Play' : 'Pause');
    const { currentTime } = video;
    this.seekBar.render(currentTime);
    const { range } = this.seekBar;
    const dynamic = engine.dynamic;
    show(this.live, dynamic);
    if (dynamic) {
      const edge = atLiveEdge(range, currentTime) && !video.paused;
      this.live.classList.toggle('is-edge', edge);
      this.live.setAttribute('aria-label', edge ? 'You are watching live' : 'Go to live');
      setText(this.time, atLiveEdge(range, currentTime) ? '' : `−${clock(behindLive(range, currentTime))}`);
    } else {
      setText(this.time, range === null ? '' : `${clock(currentTime)} / ${clock(range.end)}`);
    }
    this.quality.render();
  }

  /** Another stream was loaded. */
  reset() {
    this.quality.reset();
    this.wake();
  }

  /** Plays or pauses. */
  toggle() {
    const { video, engine } = this;
    if (video.ended) this.again();
    else if (video.paused) engine.play();
    else engine.pause();
    this.wake();
  }

  /** Moves the playhead; to the end of a live stream means to the live edge. */
  seek(time, end = false) {
    if (end && this.engine.dynamic) this.engine.goLive();
    else this.engine.seek(time);
    this.wake();
  }

  /** Shows the controls, and hides them after a while if all is quiet. */
  wake() {
    this.stage.classList.remove('is-idle');
    clearTimeout(this.fadeTimer);
    this.fadeTimer = setTimeout(() => {
      const busy = this.video.paused || this.quality.open || this.seekBar.held || this.stage.querySelector('.controls :focus-visible');
      if (busy) this.wake();
      else this.stage.classList.add('is-idle');
    }, FADE_MS);
  }

  #buttons() {
    byId('play').addEventListener('click', () => this.toggle());
    const big = byId('big-play');
    big.append(icon('play'));
    big.addEventListener('click', () => this.toggle());
    this.live.addEventListener('click', () => this.engine.goLive());
    const full = byId('full');
    setIcon(full, 'full');
    full.addEventListener('click', () => this.#toggleFull());
    byId('help-close').append(icon('close'));
    byId('help-close').addEventListener('click', () => byId('help').close());
    // The embedded player has no such button; its key works there too.
    document.getElementById('help-button')?.addEventListener('click', () => byId('help').showModal());
  }

  #sound() {
    const { video } = this;
    const mute = byId('mute');
    const volume = byId('volume');
    const unmute = byId('unmute');
    unmute.prepend(icon('muted'));
    const paint = () => {
      const silent = video.muted || video.volume === 0;
      setIcon(mute, silent ? 'muted' : 'volume');
      mute.setAttribute('aria-label', silent ? 'Sound on' : 'Sound off');
      volume.value = String(silent ? 0 : video.volume);
      volume.style.setProperty('--value', volume.value);
      show(unmute, video.muted && !video.paused && !byId('controls').hidden);
    };
    mute.addEventListener('click', () => this.#mute());
    unmute.addEventListener('click', () => this.#mute());
    volume.addEventListener('input', () => {
      video.muted = false;
      video.volume = Number(volume.value);
    });
    video.addEventListener('volumechange', () => {
      if (!video.muted) rememberNumber('volume', video.volume);
      paint();
    });
    paint();
  }

  #mute() {
    const { video } = this;
    if (video.muted || video.volume === 0) {
      video.muted = false;
      if (video.volume === 0) video.volume = 1;
    } else {
      video.muted = true;
    }
  }

  #presence() {
    const { stage } = this;
    stage.addEventListener('pointermove', () => this.wake());
    stage.addEventListener('focusin', () => this.wake());
    stage.addEventListener('pointerleave', (event) => {
      if (event.pointerType === 'mouse' && !this.video.paused && !this.quality.open) stage.classList.add('is-idle');
    });
    const tap = byId('tap');
    let touched = false;
    tap.addEventListener('pointerdown', (event) => (touched = event.pointerType === 'touch'));
    tap.addEventListener('click', () => {
      // A finger first asks for the controls; a mouse has them already.
      if (touched && stage.classList.contains('is-idle')) this.wake();
      else if (touched) stage.classList.add('is-idle');
      else this.toggle();
    });
    tap.addEventListener('dblclick', () => !touched && this.#toggleFull());
  }

  #waiting() {
    const { video } = this;
    const hide = () => {
      clearTimeout(this.spinnerTimer);
      show(byId('buffering'), false);
    };
    video.addEventListener('waiting', () => {
      clearTimeout(this.spinnerTimer);
      this.spinnerTimer = setTimeout(() => show(byId('buffering'), !video.paused && video.readyState < 3), SPINNER_AFTER_MS);
    });
    for (const name of ['playing', 'canplay', 'seeked', 'pause', 'ended', 'emptied']) video.addEventListener(name, hide);
  }

  #key(event) {
    if (byId('help').open) return;
    const asked = command({ key: event.key, modified: event.ctrlKey || event.metaKey || event.altKey, on: focusKind() });
    if (asked === null) return;
    const usable = !byId('controls').hidden;
    if (!usable && asked.does !== 'help' && asked.does !== 'full') return;
    event.preventDefault();
    this.#carryOut(asked);
    if (asked.does !== 'help') this.wake();
  }

  #carryOut(asked) {
    const { video, engine } = this;
    const range = engine.range();
    switch (asked.does) {
      case 'toggle':
        return this.toggle();
      case 'shift':
        return range === null ? undefined : this.#shift(range, asked.seconds);
      case 'to':
        return range === null ? undefined : this.seek(timeAt(range, asked.part), asked.part === 1);
      case 'volume':
        video.muted = false;
        video.volume = Math.min(1, Math.max(0, video.volume + asked.by));
        return undefined;
      case 'mute':
        return this.#mute();
      case 'full':
        return this.#toggleFull();
      case 'stats':
        return this.statsPanel.toggle();
      default:
        return byId('help').showModal();
    }
  }

  #shift(range, seconds) {
    const to = shifted(range, this.video.currentTime, seconds);
    this.seek(to, seconds > 0 && this.engine.dynamic && to >= range.end);
  }

  #toggleFull() {
    const { theatre, video } = this;
    if (document.fullscreenElement !== null && document.fullscreenElement !== undefined) document.exitFullscreen();
    else if (theatre.requestFullscreen !== undefined) theatre.requestFullscreen().catch(() => undefined);
    // A phone that gives full screen to video elements only.
    else video.webkitEnterFullscreen?.();
  }

  #full() {
    const on = document.fullscreenElement === this.theatre;
    this.theatre.classList.toggle('is-full', on);
    setIcon(byId('full'), on ? 'window' : 'full');
    byId('full').setAttribute('aria-label', on ? 'Leave full screen' : 'Full screen');
  }
}

/** What has the focus, in the words of `command`. */
function focusKind() {
  const at = document.activeElement;
  if (at === null || at === document.body) return 'page';
  if (at.id === 'seek-input') return 'seek';
  if (at.id === 'volume') return 'volume';
  if (at.matches('input, textarea, select, [contenteditable]')) return 'text';
  if (at.closest('[role="menu"]') !== null) return 'menu';
  if (at.matches('button')) return 'button';
  if (at.matches('a')) return 'link';
  return at.closest('#theatre') === null ? 'page' : 'player';
}
