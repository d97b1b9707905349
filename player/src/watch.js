/**
 * The watch page, and the bare player that other sites embed: the state machine's shell. Carries out its effects and renders what
 * `watch-view` says.
 */

import { retryWait } from './core/backoff.js';
import { day, elapsed } from './core/format.js';
import { liveIndex, livePage, watchRoute } from './core/ids.js';
import { parseLive } from './core/index-data.js';
import { start, step, stillOnAir } from './core/watch-state.js';
import * as view from './core/watch-view.js';
import { fetchJson, NotFound } from './io/fetch.js';
import { pickEngine } from './io/pick-engine.js';
import { poll } from './io/poll.js';
import { replayCard } from './ui/cards.js';
import { Controls } from './ui/controls.js';
import { CueCard } from './ui/cue-card.js';
import { curtainRenderer, noticeRenderer } from './ui/curtain.js';
import { byId, h, setText, show } from './ui/dom.js';
import { icon } from './ui/icons.js';
import { StatsPanel } from './ui/stats-panel.js';

/** How often clocks, bars and numbers are painted, in milliseconds. */
const PAINT_MS = 250;
/** How long "Copied" stands, in milliseconds. */
const COPIED_MS = 2000;
/** The list of replays shows when it was: painted anew this often, in milliseconds. */
const REFRESH_MS = 30_000;

let dispatch = () => undefined;
let engine = null;

const route = watchRoute(location.pathname);
/** Nothing but the player: no title, no list of replays. */
const embedded = document.body.classList.contains('embed');
const curtain = curtainRenderer(act);
const notice = noticeRenderer(act);

if (route === null) {
  refuse('There is nothing at this address', 'Look for the show on the front page.');
} else {
  const Engine = await pickEngine();
  if (Engine === null) refuse('This browser can’t play the show', 'It plays neither Media Source Extensions nor HLS. A current Chrome, Edge, Firefox or Safari does.');
  else watch(Engine);
}

function refuse(title, text) {
  setText(byId('title'), title);
  if (!embedded) show(byId('about'), false);
  curtain({ busy: false, waits: false, title, text, actions: [{ text: 'All shows', href: '/', primary: true }] });
}

function act(does) {
  if (does === 'again') again();
  else dispatch({ type: 'retry' });
}

function again() {
  engine.seek(0);
  engine.play();
}

function watch(Engine) {
  let { state, effects } = start(route);
  let retryTimer = null;

  dispatch = (event) => {
    const before = state;
    let next;
    ({ state, effects: next } = step(state, event));
    next.forEach(carryOut);
    if (before !== state) render();
  };
  engine = new Engine(byId('video'), (event) => {
    if (event.type === 'changed') paint();
    else dispatch(event);
  });
  const stats = () => ({ ...engine.stats(), state: state.phase });
  const panel = new StatsPanel(stats);
  const controls = new Controls(engine, panel, again);
  const cueCard = new CueCard(engine);
  const listReplays = embedded ? () => undefined : replayList();
  // For diagnostics from the browser's console and for tests.
  window.gopcast = { player: engine.player, stats, cue: () => ({ ...cueCard.seen, cues: engine.cues }) };

  effects.forEach(carryOut);
  render();
  const look = poll(
    async () => {
      try {
        dispatch({ type: 'index', index: await fetchJson(liveIndex(route.live), (value) => parseLive(value, route.live)) });
      } catch (error) {
        dispatch({ type: error instanceof NotFound ? 'index-missing' : 'index-failed' });
      }
    },
    () => view.pollWait(state, document.visibilityState !== 'visible'),
  );
  window.addEventListener('online', () => dispatch({ type: 'retry' }));
  setInterval(() => {
    if (state.phase === 'ending') engine.watchForEnd();
    if (state.phase === 'playing') engine.watchForStall();
    paint();
  }, PAINT_MS);
  if (!embedded) share();
  fitStage();

  function carryOut(effect) {
    clearTimeout(retryTimer);
    if (effect.type === 'load') {
      if (effect.broadcast !== engine.broadcast) controls.reset();
      engine.load(effect);
    } else if (effect.type === 'stop') {
      engine.stop();
    } else {
      // Whether it is still on air matters as much as whether it can be had.
      look?.now();
      retryTimer = setTimeout(() => dispatch({ type: 'retry' }), retryWait(effect.attempt, Math.random()));
    }
  }

  function render() {
    const name = state.index?.title ?? state.live;
    setText(byId('title'), name);
    const label = view.badge(state);
    if (!embedded) renderBadge(label);
    document.title = `${label.kind === 'live' ? '● ' : ''}${name} · ${label.text} · gopcast`;
    showPoster(view.posterOf(state));
    curtain(view.curtain(state));
    notice(view.notice(state));
    setText(byId('announce'), view.announcement(state));
    listReplays(state);
    paint();
  }

  /** The picture behind the curtain while it loads, and in the player until the first frame. */
  function showPoster(address) {
    const video = byId('video');
    const shown = video.getAttribute('poster');
    // Once there is one it stays: the address is the same when its picture is another.
    if (address !== null && shown !== address) video.setAttribute('poster', address);
    byId('stage').classList.toggle('has-poster', address !== null);
  }

  function renderBadge(label) {
    const badge = byId('badge');
    if (badge.dataset.kind === label.kind && badge.textContent === label.text) return;
    badge.dataset.kind = label.kind;
    badge.className = `badge badge-${label.kind}`;
    badge.replaceChildren(...(label.kind === 'live' ? [h('span.dot', { 'aria-hidden': 'true' })] : []), label.text);
  }

  function paint() {
    if (!embedded) setText(byId('since'), since(state));
    controls.render(view.curtain(state) === null);
    panel.render();
  }
}

/** The line under the title. */
function since(state) {
  const now = Date.now();
  if (state.mode === 'replay') {
    const started = state.index?.replays.find((replay) => replay.broadcast === state.broadcast)?.started;
    const from = started ?? (stillOnAir(state) ? state.index.onAir.started : null);
    return from === null || from === undefined ? '' : day(from, now);
  }
  const started = state.index?.onAir?.started ?? null;
  const span = elapsed(started, now);
  return span === null ? '' : `On air ${span}`;
}

/** Renders the list of replays when it changes. */
function replayList() {
  let shown = '';
  return (state) => {
    const replays = state.index?.replays ?? [];
    const now = Date.now();
    const watched = state.mode === 'replay' ? state.broadcast : null;
    const key = JSON.stringify([replays, watched, Math.floor(now / REFRESH_MS)]);
    if (key === shown) return;
    shown = key;
    const name = state.index?.title ?? state.live;
    setText(byId('replays-title'), `Replays of ${name}`);
    byId('replays-list').replaceChildren(
      ...replays.map((replay) => replayCard(state.live, name, replay, now, replay.broadcast === watched)),
    );
    show(byId('replays'), replays.length > 0);
  };
}

/** The stage takes the picture's shape, so that a portrait show fills a phone. */
function fitStage() {
  const video = byId('video');
  video.addEventListener('resize', () => {
    if (video.videoWidth === 0) return;
    const stage = byId('stage');
    stage.style.setProperty('--shape', `${video.videoWidth} / ${video.videoHeight}`);
    stage.classList.toggle('is-portrait', video.videoHeight > video.videoWidth);
  });
}

/** The button that hands on the address: the phone's own sheet, else the clipboard. */
function share() {
  const button = byId('share');
  const label = button.querySelector('span');
  button.prepend(icon('link'));
  byId('help-button').hidden = window.matchMedia('(hover: none)').matches;
  button.addEventListener('click', async () => {
    const url = new URL(route.mode === 'live' ? livePage(route.live) : location.pathname, location.origin).href;
    try {
      await navigator.clipboard.writeText(url);
      setText(label, 'Copied');
    } catch {
      setText(label, 'Copy it from the address bar');
    }
    setTimeout(() => setText(label, 'Copy link'), COPIED_MS);
  });
}
