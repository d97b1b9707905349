/** The watch page's life: every phase against what can happen in it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ownReplay, start, step, stillOnAir } from '../../src/core/watch-state.js';
import * as view from '../../src/core/watch-view.js';

const B1 = '018bcfe5-6801-7000-8000-000000000001';
const B2 = '018bcfe5-6802-7000-8000-000000000002';
const LIVE = { mode: 'live', live: 'demo', broadcast: null };
const REPLAY = { mode: 'replay', live: 'demo', broadcast: B1 };
const replay = (broadcast) => ({ broadcast, started: 0, ended: 1000, seconds: 1, manifest: `/vod/demo/${broadcast}/manifest.mpd`, poster: `/vod/demo/${broadcast}/poster.jpg` });
const index = (broadcast, ...replays) => ({
  type: 'index',
  index: {
    updated: 0, live: 'demo', title: 'Demo',
    onAir: broadcast === null ? null : { broadcast, started: 0, manifest: '/live/demo/manifest.mpd', poster: '/live/demo/poster.jpg' },
    replays: replays.map(replay),
  },
});

/** Runs events from the start; gives the last state and all effects by event. */
function run(route, ...events) {
  let { state, effects } = start(route);
  const all = [effects];
  for (const event of events) {
    ({ state, effects } = step(state, typeof event === 'string' ? { type: event } : event));
    all.push(effects);
  }
  return { state, all, last: all.at(-1) };
}

const phase = (...args) => run(...args).state.phase;

test('a live that was never on air waits, then starts by itself', () => {
  const before = run(LIVE, 'index-missing');
  assert.equal(before.state.phase, 'waiting');
  assert.match(view.curtain(before.state).title, /not been on air yet/);
  const after = run(LIVE, 'index-missing', index(B1));
  assert.equal(after.state.phase, 'starting');
  assert.deepEqual(after.last, [{ type: 'load', manifest: '/live/demo/manifest.mpd', broadcast: B1, from: 'live' }]);
});

test('off air with replays offers the newest', () => {
  const { state } = run(LIVE, index(null, B2, B1));
  assert.equal(state.phase, 'waiting');
  assert.deepEqual(view.curtain(state).actions, [{ text: 'Watch the latest replay', href: `/watch/demo/${B2}`, primary: true }]);
});

test('the same broadcast seen again changes nothing', () => {
  const { state, last } = run(LIVE, index(B1), 'playing', index(B1), index(B1));
  assert.equal(state.phase, 'playing');
  assert.deepEqual(last, []);
  assert.equal(view.curtain(state), null);
  assert.equal(view.notice(state), null);
  assert.deepEqual(view.badge(state), { kind: 'live', text: 'Live' });
});

test('the end: the last seconds play, then the replay is offered', () => {
  const ending = run(LIVE, index(B1), 'playing', index(null));
  assert.equal(ending.state.phase, 'ending');
  assert.deepEqual(ending.last, [], 'the picture is not touched');
  assert.equal(view.curtain(ending.state), null);
  const ended = run(LIVE, index(B1), 'playing', index(null), 'finished');
  assert.equal(ended.state.phase, 'ended');
  assert.match(view.curtain(ended.state).text, /made ready/);
  const listed = run(LIVE, index(B1), 'playing', index(null), 'finished', index(null, B1));
  assert.equal(ownReplay(listed.state).broadcast, B1);
  assert.equal(view.curtain(listed.state).actions[0].href, `/watch/demo/${B1}`);
});

test('an index that is behind the manifest does not restart a finished show', () => {
  const { state, last } = run(LIVE, index(B1), 'playing', 'finished', index(B1));
  assert.equal(state.phase, 'ended');
  assert.deepEqual(last, []);
});

test('a show that comes back after its end is taken up again', () => {
  assert.equal(phase(LIVE, index(B1), 'playing', index(null), index(B1)), 'playing');
  const { state, last } = run(LIVE, index(B1), 'playing', index(null), 'finished', index(B1));
  assert.equal(state.phase, 'starting');
  assert.equal(last[0].type, 'load');
});

test('a new broadcast takes over in every phase', () => {
  const before = [['playing'], ['playing', index(null)], ['playing', index(null), 'finished'], ['failed'], []];
  for (const events of before) {
    const { state, last } = run(LIVE, index(B1), ...events, index(B2));
    assert.equal(state.phase, 'starting');
    assert.equal(state.broadcast, B2);
    assert.equal(state.played, false);
    assert.deepEqual(last.map((effect) => [effect.type, effect.broadcast]), [['load', B2]]);
  }
});

test('failures are retried with growing waits, and one frame resets them', () => {
  const { state, all } = run(LIVE, index(B1), 'playing', 'failed', 'retry', 'failed', 'retry', 'playing', 'failed');
  assert.equal(state.phase, 'retrying');
  const waits = all.flat().filter((effect) => effect.type === 'retry-later').map((effect) => effect.attempt);
  assert.deepEqual(waits, [0, 1, 0]);
  assert.equal(all.flat().filter((effect) => effect.type === 'load').length, 3);
  assert.equal(view.curtain(state), null, 'the last picture stays');
  assert.equal(view.notice(state).does, 'retry');
});

test('failures while a try is due do not put it off', () => {
  const { state, last } = run(LIVE, index(B1), 'playing', 'failed', 'failed', 'failed');
  assert.equal(state.attempt, 1);
  assert.deepEqual(last, []);
  assert.equal(run(LIVE, index(B1), 'playing', 'failed', 'failed', 'retry').last[0].type, 'load');
});

test('a stream that never came covers the picture and says so', () => {
  const { state } = run(LIVE, index(B1), 'failed');
  assert.match(view.curtain(state).title, /can’t be reached/);
  assert.equal(view.curtain(state).actions[0].does, 'retry');
});

test('a live manifest that is not there yet is waited for without alarm', () => {
  const { state, last } = run(LIVE, index(B1), 'manifest-missing');
  assert.equal(state.phase, 'starting');
  assert.deepEqual(last, [{ type: 'retry-later', attempt: 0 }]);
  assert.deepEqual(run(LIVE, index(B1), 'manifest-missing', 'retry').last[0].type, 'load');
});

test('a show that ends while it could not be had stops the tries', () => {
  const never = run(LIVE, index(B1), 'failed', index(null, B1));
  assert.equal(never.state.phase, 'waiting');
  assert.deepEqual(never.last, [{ type: 'stop' }]);
  assert.equal(phase(LIVE, index(B1), 'playing', 'failed', index(null, B1)), 'ended');
  assert.equal(phase(LIVE, index(B1), 'playing', index(null), 'failed'), 'ended');
});

test('losing the index alone does not disturb the picture', () => {
  const { state, last } = run(LIVE, index(B1), 'playing', 'index-failed', 'index-missing');
  assert.equal(state.phase, 'playing');
  assert.deepEqual(last, []);
  assert.match(view.curtain(run(LIVE, 'index-failed').state).title, /No connection/);
});

test('a replay plays from the start, ends, and can be played again', () => {
  const first = run(REPLAY);
  assert.deepEqual(first.last, [{ type: 'load', manifest: `/vod/demo/${B1}/manifest.mpd`, broadcast: B1, from: 'start' }]);
  const ended = run(REPLAY, 'playing', index(null, B1), 'finished');
  assert.equal(ended.state.phase, 'ended');
  assert.equal(view.curtain(ended.state).actions[0].does, 'again');
  assert.equal(phase(REPLAY, 'playing', 'finished', 'playing'), 'playing');
});

test('a replay resumes after a loss where it was', () => {
  assert.equal(run(REPLAY, 'playing', 'failed', 'retry').last[0].from, 'resume');
});

test('a replay that is missing says so, and plays once it is listed', () => {
  const { state } = run(REPLAY, 'manifest-missing');
  assert.equal(state.phase, 'missing');
  assert.equal(phase(REPLAY, 'manifest-missing', index(null)), 'missing');
  assert.equal(phase(REPLAY, 'manifest-missing', index(null, B1)), 'starting');
  assert.equal(phase(REPLAY, 'manifest-missing', 'retry'), 'starting');
});

test('a replay of what is on air links to the live and never jumps', () => {
  const { state, last } = run(REPLAY, 'playing', index(B1));
  assert.ok(stillOnAir(state));
  assert.equal(view.notice(state).href, '/watch/demo');
  assert.deepEqual(last, []);
  assert.equal(phase(REPLAY, 'playing', index(B2)), 'playing');
});

test('before it plays, the picture is that of what will', () => {
  const poster = (...args) => view.posterOf(run(...args).state);
  assert.equal(poster(LIVE), null);
  assert.equal(poster(LIVE, index(null, B1)), null);
  assert.equal(poster(LIVE, index(B2, B1)), '/live/demo/poster.jpg');
  assert.equal(poster(REPLAY, index(null, B1)), `/vod/demo/${B1}/poster.jpg`);
  assert.equal(poster(REPLAY, index(B1)), '/live/demo/poster.jpg');
  assert.equal(poster(REPLAY, index(B2)), null);
});

test('every state can be shown, and is looked after often enough', () => {
  const routes = [LIVE, REPLAY];
  const events = [index(null), index(B1), index(B2, B1), 'index-missing', 'index-failed', 'playing', 'finished', 'manifest-missing', 'failed', 'retry'];
  const seen = new Map();
  const walk = (state) => {
    const key = JSON.stringify(state);
    if (seen.has(key)) return;
    seen.set(key, state);
    for (const event of events) {
      const next = step(state, typeof event === 'string' ? { type: event } : event).state;
      if (next.attempt <= 2) walk(next);
    }
  };
  for (const route of routes) walk(start(route).state);
  assert.ok(seen.size > 100);
  for (const state of seen.values()) {
    assert.equal(typeof view.badge(state).text, 'string');
    assert.equal(typeof view.announcement(state), 'string');
    assert.ok(view.pollWait(state, false) <= 15_000);
    if (state.mode === 'live' && state.phase === 'waiting') assert.ok(view.pollWait(state, false) <= 2000);
    if (['loading', 'starting', 'waiting', 'ended', 'missing'].includes(state.phase)) assert.notEqual(view.curtain(state), null);
  }
});

test('an unknown event is a bug', () => {
  assert.throws(() => step(start(LIVE).state, { type: 'nonsense' }), TypeError);
});
