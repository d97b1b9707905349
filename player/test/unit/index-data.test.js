/** The objects that the services write, whole and broken. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { IndexError, latestReplays, LIVES_MAX, parseLive, parseLives, TITLE_MAX } from '../../src/core/index-data.js';

const B1 = '018bcfe5-6801-7000-8000-000000000001';
const B2 = '018bcfe5-6802-7000-8000-000000000002';
const POSTER = `/vod/demo/${B1}/poster.jpg`;
const REPLAY = { poster: POSTER, broadcast: B1, started: '2026-01-01T10:00:00.000Z', ended: '2026-01-01T10:02:03.400Z', duration_seconds: 123.4 };

test('the list of lives', () => {
  const parsed = parseLives({
    updated: '2026-01-01T00:00:00.000Z',
    lives: [
      { live: 'demo', title: 'Demo', on_air: true, broadcast: B2, started: '2026-01-01T00:00:00Z', poster: '/live/demo/poster.jpg', last_replay: REPLAY },
      { live: 'shoes', title: 'shoes', on_air: false, broadcast: null, started: null, last_replay: null },
    ],
  });
  assert.equal(parsed.updated, Date.UTC(2026, 0, 1));
  assert.deepEqual(parsed.lives[0], {
    live: 'demo', title: 'Demo', onAir: true, broadcast: B2, started: Date.UTC(2026, 0, 1), poster: '/live/demo/poster.jpg',
    lastReplay: { broadcast: B1, started: Date.UTC(2026, 0, 1, 10), ended: Date.UTC(2026, 0, 1, 10, 2, 3, 400), seconds: 123.4, manifest: `/vod/demo/${B1}/manifest.mpd`, poster: POSTER },
  });
  assert.deepEqual(parsed.lives[1], { live: 'shoes', title: 'shoes', onAir: false, broadcast: null, started: null, poster: null, lastReplay: null });
  assert.deepEqual(latestReplays(parsed.lives).map((r) => [r.live, r.title, r.broadcast]), [['demo', 'Demo', B1]]);
});

test('what is not the object is an error', () => {
  for (const bad of [null, 7, 'x', [], {}, { lives: {} }, { lives: null }]) assert.throws(() => parseLives(bad), IndexError);
  for (const bad of [null, 7, [], { live: 'other' }]) assert.throws(() => parseLive(bad, 'demo'), IndexError);
});

test('what cannot be shown is left out, what is missing is null', () => {
  const { lives } = parseLives({ lives: [null, 3, {}, { live: '../x' }, { live: 'a', on_air: 'yes', started: 5, title: 9, last_replay: { broadcast: '<b>' } }, { live: 'a' }] });
  assert.deepEqual(lives, [{ live: 'a', title: 'a', onAir: false, broadcast: null, started: null, poster: null, lastReplay: null }]);
});

test('sizes are bounded', () => {
  const many = Array.from({ length: LIVES_MAX + 10 }, (_, i) => ({ live: `l${i}` }));
  assert.equal(parseLives({ lives: many }).lives.length, LIVES_MAX);
  const long = parseLives({ lives: [{ live: 'a', title: ` a\n b ${'x'.repeat(500)}` }] }).lives[0].title;
  assert.equal(long.length, TITLE_MAX);
  assert.ok(long.startsWith('a b x') && long.endsWith('…'));
});

test('one live', () => {
  const parsed = parseLive({
    live: 'demo', title: '', on_air: { broadcast: B2, started: 'nonsense', manifest: 'https://evil.example/a.mpd', poster: '//evil.example/a.jpg' },
    replays: [{ ...REPLAY, duration_seconds: 'x' }, { broadcast: B2, manifest: '/vod/demo/other.mpd' }, { broadcast: B1 }, null],
  }, 'demo');
  assert.equal(parsed.title, 'demo');
  assert.deepEqual(parsed.onAir, { broadcast: B2, started: null, manifest: '/live/demo/manifest.mpd', poster: null });
  assert.deepEqual(parsed.replays.map((r) => [r.broadcast, r.seconds, r.manifest]), [
    [B2, null, '/vod/demo/other.mpd'],
    [B1, 123.4, `/vod/demo/${B1}/manifest.mpd`],
  ]);
});

test('on air without a usable broadcast is off air', () => {
  assert.equal(parseLive({ on_air: { broadcast: 'x' } }, 'demo').onAir, null);
  assert.equal(parseLive({ on_air: true, replays: 'x' }, 'demo').onAir, null);
});
