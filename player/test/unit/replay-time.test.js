/** From the live timeline to the replay. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { replayTime } from '../../src/core/replay-time.js';

const period = (start, length, origin, timescale = 90_000) =>
  `<Period id="x" start="${start}" duration="${length}"><AdaptationSet id="0"><Representation id="360p">` +
  `<SegmentTemplate timescale="${timescale}" presentationTimeOffset="${(origin + 1) * timescale}" media="$Time$.m4s"><SegmentTimeline>` +
  `<S t="1" d="2"/></SegmentTimeline></SegmentTemplate></Representation></AdaptationSet></Period>`;
const mpd = (...periods) => `<?xml version="1.0"?><MPD xmlns="x" type="static" id="b">${periods.join('')}</MPD>`;

test('what comes after a hole is earlier in the replay by its length', () => {
  // On air until 20 s, away for 40 s, on air again.
  const text = mpd(period('PT0S', 'PT20S', 0), period('PT20S', 'PT1M30.5S', 60));
  assert.equal(replayTime(text, 0), 0);
  assert.equal(replayTime(text, 19.5), 19.5);
  assert.equal(replayTime(text, 61.25), 21.25);
  assert.equal(replayTime(text, 35), 20, 'in the hole: what follows it');
  assert.equal(replayTime(text, 1000), 110.5, 'past the end: the end');
});

test('without holes nothing moves', () => {
  const text = mpd(period('PT0S', 'PT1H', 0), period('PT1H0M0S', 'PT1H2M3.5S', 3600, 48_000));
  for (const time of [0, 1800.5, 3600, 7000]) assert.equal(replayTime(text, time), time);
});

test('of two that overlap the later publisher was shown', () => {
  const text = mpd(period('PT0S', 'PT14S', 0), period('PT14S', 'PT20S', 12));
  assert.equal(replayTime(text, 11), 11);
  assert.equal(replayTime(text, 13), 15);
});

test('what is no replay can not be told from', () => {
  assert.equal(replayTime('', 5), null);
  assert.equal(replayTime(mpd(), 5), null);
  assert.equal(replayTime(mpd(period('PT0S', 'PT9S', 0)).replace('static', 'dynamic'), 5), null);
  assert.equal(replayTime(mpd(period('', 'PT9S', 0)), 5), null);
  assert.equal(replayTime(mpd(period('PT0S', 'PT9S', 0).replace('presentationTimeOffset', 'x')), 5), null);
  assert.equal(replayTime(mpd('<Period start="PT0S" duration="PT5S"></Period>'), 5), null);
});
