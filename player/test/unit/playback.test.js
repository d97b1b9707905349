/** Waits, the seek bar's arithmetic, stalls, and the look at a manifest. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { FIRST_WAIT_MS, LONGEST_WAIT_MS, retryWait } from '../../src/core/backoff.js';
import { checkManifest, checkPlaylist, playlistOf } from '../../src/core/manifest-check.js';
import { StallMeter } from '../../src/core/stall-meter.js';
import * as timeline from '../../src/core/timeline.js';

test('waits double, are bounded and spread', () => {
  assert.equal(retryWait(0, 0), FIRST_WAIT_MS);
  assert.equal(retryWait(2, 0), 4 * FIRST_WAIT_MS);
  for (const attempt of [4, 10, 1e9]) assert.equal(retryWait(attempt, 0), LONGEST_WAIT_MS);
  assert.equal(retryWait(0, 0.999999), FIRST_WAIT_MS / 2);
  assert.equal(retryWait(-1, 0), FIRST_WAIT_MS);
});

test('live can be sought from the window’s start to the live point', () => {
  const range = timeline.seekRange({ dynamic: true, windowStart: 40, windowEnd: 100, targetDelay: 6 });
  assert.deepEqual(range, { start: 40, end: 94 });
  assert.equal(timeline.fraction(range, 67), 0.5);
  assert.equal(timeline.fraction(range, 10), 0);
  assert.equal(timeline.fraction(range, 200), 1);
  assert.equal(timeline.timeAt(range, 0.5), 67);
  assert.equal(timeline.timeAt(range, 7), 94);
  assert.equal(timeline.shifted(range, 92, 10), 94);
  assert.equal(timeline.shifted(range, 42, -10), 40);
  assert.equal(timeline.behindLive(range, 90), 4);
  assert.ok(timeline.atLiveEdge(range, 90));
  assert.ok(!timeline.atLiveEdge(range, 89.9));
  assert.ok(timeline.atLiveEdge(range, 99), 'nearer than the target is live');
});

test('a show that has just begun has no window to speak of', () => {
  const range = timeline.seekRange({ dynamic: true, windowStart: 0, windowEnd: 3, targetDelay: 6 });
  assert.deepEqual(range, { start: 0, end: 0 });
  assert.equal(timeline.fraction(range, 0), 1);
  assert.ok(timeline.atLiveEdge(range, 0));
});

test('a replay can be sought from end to end, an unknown one not at all', () => {
  assert.deepEqual(timeline.seekRange({ dynamic: false, duration: 60 }), { start: 0, end: 60 });
  for (const duration of [NaN, 0, Infinity, undefined]) assert.equal(timeline.seekRange({ dynamic: false, duration }), null);
  assert.equal(timeline.seekRange({ dynamic: true, windowStart: NaN, windowEnd: 5 }), null);
  assert.equal(timeline.fraction(null, 3), 0);
  assert.equal(timeline.behindLive(null, 3), 0);
});

test('the buffered span under the playhead', () => {
  assert.equal(timeline.bufferedUntil([[0, 4], [10, 20]], 12), 20);
  assert.equal(timeline.bufferedUntil([[0, 4], [10, 20]], 9.9), 20);
  assert.equal(timeline.bufferedUntil([[0, 4]], 6), 6);
});

test('only a wait in mid-play is a stall', () => {
  const meter = new StallMeter();
  meter.waiting(0, false);
  assert.deepEqual(meter.totals(5), { stalls: 0, stallSeconds: 0 }, 'the first wait');
  meter.progressing(1);
  meter.waiting(2, true);
  assert.equal(meter.stalled, false, 'paused');
  meter.seeking(3);
  meter.waiting(3, false);
  assert.equal(meter.stalled, false, 'seeking');
  meter.progressing(4);
  meter.waiting(10, false);
  meter.waiting(11, false);
  assert.deepEqual(meter.totals(12), { stalls: 1, stallSeconds: 2 });
  assert.equal(meter.standing(12), 2);
  meter.progressing(12.5);
  assert.equal(meter.standing(13), 0);
  meter.waiting(20, false);
  meter.stopped(21);
  assert.deepEqual(meter.totals(99), { stalls: 2, stallSeconds: 3.5 });
  meter.reloaded(100);
  meter.waiting(101, false);
  assert.equal(meter.totals(110).stalls, 2, 'the first wait of the next stream');
});

test('a manifest of another broadcast is not taken', () => {
  const a = '018bcfe5-6801-7000-8000-000000000001';
  const b = '018bcfe5-6802-7000-8000-000000000002';
  const mpd = (id) => `<?xml version="1.0"?><MPD type="dynamic"><BaseURL>/vod/demo/${id}/</BaseURL></MPD>`;
  assert.equal(checkManifest(mpd(a), a), 'ok');
  assert.equal(checkManifest(mpd(a), b), 'stale');
  assert.equal(checkManifest('<MPD></MPD>', b), 'ok', 'one that names none');
  assert.equal(checkManifest('<html>', b), 'invalid');
  assert.equal(checkManifest(mpd(a), null), 'ok');
});

test('a manifest with a track that has no segment yet is not taken', () => {
  assert.equal(checkManifest('<MPD><SegmentTimeline><S t="0" d="1"/></SegmentTimeline><SegmentTimeline>\n</SegmentTimeline></MPD>', null), 'empty');
  assert.equal(checkManifest('<MPD><SegmentTimeline/></MPD>', null), 'empty');
  assert.equal(checkManifest('<MPD><SegmentTimeline><S t="0" d="1"/></SegmentTimeline></MPD>', null), 'ok');
});

test('a manifest’s HLS twin lies beside it, and is looked at too', () => {
  assert.equal(playlistOf('/live/shoes/manifest.mpd'), '/live/shoes/master.m3u8');
  const id = '018bcfe5-6800-7000-8000-000000000000';
  const other = '018bcfe5-6801-7000-8000-000000000000';
  const text = `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n../../vod/shoes/${id}/360p/index.m3u8\n`;
  assert.equal(checkPlaylist(text, id), 'ok');
  assert.equal(checkPlaylist(text, null), 'ok');
  assert.equal(checkPlaylist(text, other), 'stale');
  assert.equal(checkPlaylist('#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n360p.m3u8\n', id), 'ok');
  assert.equal(checkPlaylist('<!doctype html>', id), 'invalid');
});
