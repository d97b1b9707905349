/** Numbers and times as text. */
import assert from 'node:assert/strict';
import test from 'node:test';
import * as format from '../../src/core/format.js';

test('a clock has hours only when needed', () => {
  assert.equal(format.clock(0), '0:00');
  assert.equal(format.clock(7.9), '0:07');
  assert.equal(format.clock(754), '12:34');
  assert.equal(format.clock(3723), '1:02:03');
  assert.equal(format.clock(-5), '0:00');
  for (const bad of [NaN, Infinity, undefined, null]) assert.equal(format.clock(bad), format.UNKNOWN);
});

test('durations are spoken in full', () => {
  assert.equal(format.spokenDuration(0), '0 seconds');
  assert.equal(format.spokenDuration(61), '1 minute 1 second');
  assert.equal(format.spokenDuration(7322), '2 hours 2 minutes 2 seconds');
  assert.equal(format.spokenDuration(NaN), 'unknown');
});

test('elapsed time', () => {
  const now = Date.UTC(2026, 0, 10);
  const ago = (s) => format.elapsed(now - s * 1000, now);
  assert.equal(ago(5), 'just now');
  assert.equal(ago(-5), 'just now', 'a clock that is behind');
  assert.equal(ago(300), 'for 5 min');
  assert.equal(ago(7200), 'for 2 h');
  assert.equal(ago(7800), 'for 2 h 10 min');
  assert.equal(ago(86_400), 'for 1 day');
  assert.equal(ago(3 * 86_400), 'for 3 days');
  assert.equal(format.elapsed(null, now), null);
});

test('days near the present are named', () => {
  const now = Date.UTC(2026, 10, 22, 20, 0);
  const day = (ms) => format.day(ms, now, 'en-GB', 'UTC');
  assert.equal(day(Date.UTC(2026, 10, 22, 8, 5)), 'Today, 8:05');
  assert.equal(day(Date.UTC(2026, 10, 21, 23, 59)), 'Yesterday, 23:59');
  assert.match(day(Date.UTC(2026, 10, 3, 20, 15)), /^Tue,? 3 Nov, 20:15$/);
  assert.match(day(Date.UTC(2025, 10, 3, 20, 15)), /^3 Nov 2025, 20:15$/);
  assert.equal(day(null), format.UNKNOWN);
  assert.match(format.day(Date.UTC(2026, 10, 22, 23, 30), now, 'en-GB', 'Asia/Tokyo'), / 8:30$/);
});

test('rates and rungs', () => {
  assert.equal(format.bitRate(850_400), '850 kbit/s');
  assert.equal(format.bitRate(4_500_000), '4.5 Mbit/s');
  assert.equal(format.bitRate(16_000_000), '16 Mbit/s');
  assert.equal(format.bitRate(undefined), format.UNKNOWN);
  assert.equal(format.seconds(3.25), '3.3 s');
  assert.equal(format.seconds(NaN), format.UNKNOWN);
  assert.equal(format.rungName({ width: 1280, height: 720 }), '720p');
  assert.equal(format.rungName({ width: 720, height: 1280 }), '720p', 'portrait');
  assert.equal(format.rungName(null), format.UNKNOWN);
  assert.equal(format.resolution({ width: 1280, height: 720 }), '1280 × 720');
  assert.equal(format.resolution(null), format.UNKNOWN);
});
