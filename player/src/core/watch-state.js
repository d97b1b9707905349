/**
 * The watch page's state machine: what the page is doing, given what the index said, what the player
 * did and what the viewer asked for. No clock, no network, no DOM: `step` takes a state and an event
 * and returns the next state and the effects that the shell must carry out.
 *
 * Phases
 *   loading   nothing known yet
 *   waiting   the live is not on air
 *   starting  a manifest is being loaded, no frame shown yet
 *   playing   frames are shown (or the viewer paused)
 *   ending    the broadcast is over; its last seconds still play
 *   ended     played to the end
 *   retrying  the stream could not be had; another try is due
 *   missing   there is no such replay
 *
 * Events
 *   {type: 'index', index}    the live's index as `parseLive` gives it
 *   {type: 'index-missing'}   there is none: this live was never on air
 *   {type: 'index-failed'}    it could not be had
 *   {type: 'playing'}         a frame is shown
 *   {type: 'finished'}        the stream was played to its end
 *   {type: 'manifest-missing'}, {type: 'failed'}   loading or playing went wrong
 *   {type: 'retry'}           the wait is over, or the viewer asked
 *
 * Effects
 *   {type: 'load', manifest, broadcast, from: 'live' | 'start' | 'resume'}
 *   {type: 'stop'}            give up what is loading or being retried
 *   {type: 'retry-later', attempt}
 */

import { broadcastManifest } from './ids.js';

/** The state before anything is known, and what to do first. `route` as `watchRoute` gives it. */
export function start(route) {
  const state = {
    mode: route.mode,
    live: route.live,
    /** The broadcast that plays or was to play. */
    broadcast: route.broadcast,
    manifest: route.mode === 'replay' ? broadcastManifest(route.live, route.broadcast) : null,
    phase: route.mode === 'replay' ? 'starting' : 'loading',
    /** The last index seen, or null. */
    index: null,
    neverAired: false,
    /** The last look at the index failed. */
    indexLost: false,
    /** A frame of the present broadcast was shown. */
    played: false,
    /** The index has said that the present broadcast is over. */
    offAirSeen: false,
    /** Failed tries in a row. */
    attempt: 0,
    /** The wait for another try is running: further failures of the same try are no news. */
    waiting: false,
  };
  return { state, effects: route.mode === 'replay' ? [load(state, 'start')] : [] };
}

/** The next state and the effects of one event. */
export function step(state, event) {
  switch (event.type) {
    case 'index':
      return onIndex({ ...state, index: event.index, neverAired: false, indexLost: false }, event.index);
    case 'index-missing':
      return onIndexMissing({ ...state, neverAired: state.index === null, indexLost: false });
    case 'index-failed':
      return still({ ...state, indexLost: true });
    case 'playing':
      return onPlaying(state);
    case 'finished':
      return state.phase === 'playing' || state.phase === 'ending' ? still({ ...state, phase: 'ended' }) : still(state);
    case 'manifest-missing':
      return onManifestMissing(state);
    case 'failed':
      return state.waiting ? still(state) : onFailed(state);
    case 'retry':
      return onRetry(state);
    default:
      throw new TypeError(`unknown event ${String(event.type)}`);
  }
}

/** The replay of the broadcast that was on air here, once it is listed. */
export function ownReplay(state) {
  return state.index?.replays.find((replay) => replay.broadcast === state.broadcast) ?? null;
}

/** Whether the replay being watched is of a broadcast that is still on air. */
export function stillOnAir(state) {
  return state.mode === 'replay' && state.index?.onAir?.broadcast === state.broadcast;
}

function onIndex(state, index) {
  if (state.mode === 'replay') {
    const known = index.onAir?.broadcast === state.broadcast || ownReplay(state) !== null;
    return state.phase === 'missing' && known ? reload(state, 'start') : still(state);
  }
  return index.onAir === null ? onOffAir(state) : onOnAir(state, index.onAir);
}

function onOffAir(state) {
  const seen = { ...state, offAirSeen: true };
  switch (state.phase) {
    case 'loading':
      return still({ ...seen, phase: 'waiting' });
    case 'playing':
      return still({ ...seen, phase: 'ending' });
    case 'starting':
    case 'retrying':
      return { state: { ...seen, phase: state.played ? 'ended' : 'waiting', attempt: 0, waiting: false }, effects: [{ type: 'stop' }] };
    default:
      return still(seen);
  }
}

function onOnAir(state, air) {
  if (air.broadcast !== state.broadcast || state.phase === 'loading' || state.phase === 'waiting') {
    const next = { ...state, broadcast: air.broadcast, manifest: air.manifest, played: false, offAirSeen: false, attempt: 0 };
    return reload(next, 'live');
  }
  if (state.phase === 'ending') return still({ ...state, phase: 'playing', offAirSeen: false });
  // Played to the end while the index still names it: the index is behind, unless it had said otherwise before.
  if (state.phase === 'ended' && state.offAirSeen) return reload({ ...state, offAirSeen: false, attempt: 0 }, 'live');
  return still(state);
}

function onIndexMissing(state) {
  return state.mode === 'live' && state.phase === 'loading' ? still({ ...state, phase: 'waiting' }) : still(state);
}

function onPlaying(state) {
  const next = { ...state, played: true, attempt: 0, waiting: false };
  if (state.phase === 'starting' || state.phase === 'retrying') return still({ ...next, phase: 'playing' });
  if (state.phase === 'ended' && state.mode === 'replay') return still({ ...next, phase: 'playing' });
  return still(state);
}

function onManifestMissing(state) {
  if (state.phase !== 'starting' && state.phase !== 'retrying') return still(state);
  if (state.mode === 'replay') return still({ ...state, phase: 'missing', attempt: 0, waiting: false });
  // On air, but its first segment is not out yet: the same wait as for any other failure, without the alarm.
  return retryLater(state, state.phase);
}

function onFailed(state) {
  switch (state.phase) {
    case 'starting':
    case 'playing':
    case 'retrying':
      return retryLater(state, 'retrying');
    case 'ending':
      // The last seconds are lost; the replay has them.
      return { state: { ...state, phase: 'ended' }, effects: [{ type: 'stop' }] };
    default:
      return still(state);
  }
}

function onRetry(state) {
  switch (state.phase) {
    case 'starting':
    case 'retrying':
      return { state: { ...state, waiting: false }, effects: [load(state, state.mode === 'replay' ? 'resume' : 'live')] };
    case 'missing':
      return reload(state, 'start');
    default:
      return still(state);
  }
}

function retryLater(state, phase) {
  const next = { ...state, phase, attempt: state.attempt + 1, waiting: true };
  return { state: next, effects: [{ type: 'retry-later', attempt: state.attempt }] };
}

function reload(state, from) {
  return { state: { ...state, phase: 'starting', waiting: false }, effects: [load(state, from)] };
}

function load(state, from) {
  return { type: 'load', manifest: state.manifest, broadcast: state.broadcast, from };
}

function still(state) {
  return { state, effects: [] };
}
