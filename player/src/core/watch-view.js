/**
 * What the watch page shows in each state: badge, curtain over the picture, notice above it, and how
 * soon to look at the index again. Pure: state in, plain data out; the DOM side only renders it.
 */

import { livePage, replayPage } from './ids.js';
import { ownReplay, stillOnAir } from './watch-state.js';

/** Look at the index this often while the show may begin at any moment, in milliseconds. */
export const POLL_WAITING_MS = 2000;
/** While it plays only the end has to be noticed, and the picture has seconds left then. */
export const POLL_PLAYING_MS = 3000;
/** A replay changes only in the list below it. */
export const POLL_REPLAY_MS = 15_000;
/** In a hidden tab. */
export const POLL_HIDDEN_MS = 15_000;

/** Milliseconds until the next look at the index. */
export function pollWait(state, hidden) {
  if (hidden && state.phase !== 'playing') return POLL_HIDDEN_MS;
  if (state.mode === 'replay') return stillOnAir(state) || state.phase === 'missing' ? POLL_PLAYING_MS : POLL_REPLAY_MS;
  return state.phase === 'playing' ? POLL_PLAYING_MS : POLL_WAITING_MS;
}

/** The label by the title: {kind, text}. */
export function badge(state) {
  if (state.mode === 'replay') {
    return stillOnAir(state) ? { kind: 'live', text: 'On air' } : { kind: 'replay', text: 'Replay' };
  }
  switch (state.phase) {
    case 'starting':
    case 'playing':
    case 'retrying':
      return { kind: 'live', text: 'Live' };
    case 'ending':
    case 'ended':
      return { kind: 'off', text: 'Ended' };
    case 'waiting':
      return { kind: 'off', text: 'Off air' };
    default:
      return { kind: 'off', text: 'Connecting' };
  }
}

/**
 * What covers the picture, or null when nothing does:
 * {busy, title, text, actions: [{text, primary, href} | {text, primary, does: 'retry' | 'again'}]}.
 */
export function curtain(state) {
  const name = state.index?.title ?? state.live;
  switch (state.phase) {
    case 'loading':
      return state.indexLost
        ? cover('No connection', 'The show can’t be reached at the moment. We keep trying.', [act('Try now', 'retry')])
        : busy('Connecting…');
    case 'starting':
      return busy(state.mode === 'replay' ? 'Loading the replay…' : 'The show is starting…');
    case 'waiting':
      return waiting(state, name);
    case 'ended':
      return state.mode === 'replay' ? replayEnded(state) : liveEnded(state);
    case 'retrying':
      return state.played
        ? null
        : cover('The stream can’t be reached', 'Check your connection. We keep trying, no need to reload.', [act('Try now', 'retry')]);
    case 'missing':
      return cover('There is no such replay', 'It may have been removed, or the address is mistyped.', [
        link(`Go to ${name}`, livePage(state.live), true),
        act('Try again', 'retry', false),
      ]);
    default:
      return null;
  }
}

/** The address of a picture of what is to be watched, to show before it plays; or null. */
export function posterOf(state) {
  const { index } = state;
  if (index === null) return null;
  if (state.mode === 'live') return index.onAir?.poster ?? null;
  const replay = index.replays.find(({ broadcast }) => broadcast === state.broadcast);
  return replay?.poster ?? (stillOnAir(state) ? index.onAir.poster : null);
}

/** A line shown above the picture while it goes on, or null: {text, does, label} or {text, href, label}. */
export function notice(state) {
  if (state.phase === 'retrying' && state.played) {
    return { text: 'No signal. Trying again…', does: 'retry', label: 'Try now' };
  }
  if (state.phase === 'ending') return { text: 'The show has ended. These are its last seconds.' };
  if (stillOnAir(state)) {
    return { text: 'This show is still on air.', href: livePage(state.live), label: 'Watch live' };
  }
  return null;
}

/** What a screen reader is told when the phase changes. */
export function announcement(state) {
  const over = curtain(state);
  if (over !== null) return over.busy ? over.title : `${over.title}. ${over.text}`;
  const line = notice(state);
  if (line !== null) return line.text;
  return state.phase === 'playing' ? (state.mode === 'replay' ? 'The replay plays.' : 'The show is on air.') : '';
}

function waiting(state, name) {
  const latest = state.index?.replays[0] ?? null;
  const lost = state.indexLost ? ' The connection is gone at the moment; we keep trying.' : '';
  if (latest === null) {
    const title = state.neverAired ? `${name} has not been on air yet` : `${name} is off air`;
    return cover(title, `Stay here: the show starts by itself.${lost}`, [], true);
  }
  return cover(
    `${name} is off air`,
    `Stay here: the next show starts by itself.${lost}`,
    [link('Watch the latest replay', replayPage(state.live, latest.broadcast), true)],
    true,
  );
}

function liveEnded(state) {
  const replay = ownReplay(state);
  return replay === null
    ? cover('The show has ended', 'Its replay is being made ready.', [], true)
    : cover('The show has ended', 'Thanks for watching. A new show starts here by itself.', [
        link('Watch the replay', replayPage(state.live, replay.broadcast), true),
      ]);
}

function replayEnded(state) {
  const again = act('Watch again', 'again');
  const toLive = link('Go to the live', livePage(state.live), false);
  return cover('That was the whole show', 'Watch it again, or see what is on now.', [again, toLive]);
}

function cover(title, text, actions, waits = false) {
  return { busy: false, waits, title, text, actions };
}

function busy(title) {
  return { busy: true, waits: false, title, text: '', actions: [] };
}

function link(text, href, primary) {
  return { text, href, primary };
}

function act(text, does, primary = true) {
  return { text, does, primary };
}
