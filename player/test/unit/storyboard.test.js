/** The storyboard: which picture a moment has, in which image and where in it. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { pictureAt, storyboardOf } from '../../src/core/storyboard.js';

const URL_OF_LIVE = 'https://shop.example/live/shoes/manifest.mpd';
const S = (t, d, r) => ({ ...(t === undefined ? {} : { t }), d, ...(r === undefined ? {} : { r }) });

function period(start, duration, offset, timeline, tiles = '1x1', size = [320, 180]) {
  const [width, height] = size;
  return {
    start,
    duration,
    AdaptationSet: [
      { contentType: 'video', Representation: [{ id: '360p', SegmentTemplate: { media: '$RepresentationID$/$Time$.m4s', timescale: 90_000 } }] },
      {
        contentType: 'image',
        Representation: [
          {
            id: 'tiles', width, height,
            EssentialProperty: [{ schemeIdUri: 'http://dashif.org/guidelines/thumbnail_tile', value: tiles }],
            SegmentTemplate: { media: '$RepresentationID$/$Time$.jpg', timescale: 90_000, presentationTimeOffset: offset, SegmentTimeline: { S: timeline } },
          },
        ],
      },
    ],
  };
}

/** Two GOPs of 2 s, a hole of 2 s, one of 3 s. */
const LIVE = { BaseURL: [{ __text: '../../vod/shoes/b/' }], Period: [period(10, undefined, 990_000, [S(990_000, 180_000, 1), S(1_530_000, 270_000)])] };

test('a moment has the picture of its GOP', () => {
  const boards = storyboardOf(LIVE, URL_OF_LIVE);
  const name = (time) => pictureAt(boards, time)?.url.replace('https://shop.example/vod/shoes/b/tiles/', '') ?? null;
  assert.deepEqual(
    [9.9, 10, 11.999, 12, 13.9, 14, 15.9, 16, 18.9, 19, 1e9, NaN].map(name),
    [null, '990000.jpg', '990000.jpg', '1170000.jpg', '1170000.jpg', null, null, '1530000.jpg', '1530000.jpg', null, null, null],
  );
  const whole = { x: 0, y: 0, width: 320, height: 180, imageWidth: 320, imageHeight: 180 };
  assert.deepEqual(pictureAt(boards, 10), { url: 'https://shop.example/vod/shoes/b/tiles/990000.jpg', ...whole });
});

test('times that come from fractions do not fall into the GOP before', () => {
  const frame = 3003;
  const boards = storyboardOf({ Period: [period(0, undefined, 90_000, [S(90_000, 60 * frame, 99)])] }, URL_OF_LIVE);
  for (let n = 1; n < 100; n += 1) {
    const at = (n * 60 * frame) / 90_000;
    assert.ok(pictureAt(boards, at).url.endsWith(`/${90_000 + n * 60 * frame}.jpg`), String(n));
  }
});

test('every Period has its own, or none', () => {
  const plain = { start: 4, duration: 2, AdaptationSet: [{ contentType: 'video', Representation: [] }] };
  const replay = { Period: [period(0, 4, 90_000, [S(90_000, 180_000, 1)]), plain, period(6, 2, 990_000, [S(990_000, 180_000)], '1x1', [180, 320])] };
  const boards = storyboardOf(replay, 'https://shop.example/vod/shoes/b/manifest.mpd');
  const seen = [3.9, 4, 5.9, 6, 7.9, 8].map((time) => pictureAt(boards, time)).map((found) => found && [found.url.split('/').pop(), found.width]);
  assert.deepEqual(seen, [['270000.jpg', 320], null, null, ['990000.jpg', 180], ['990000.jpg', 180], null]);
});

test('an image may hold several pictures', () => {
  const boards = storyboardOf({ Period: [period(0, 8, 0, [S(0, 720_000)], '2x2', [640, 360])] }, URL_OF_LIVE);
  const at = (time) => { const { x, y, width, height } = pictureAt(boards, time); return [x, y, width, height]; };
  assert.deepEqual([0, 2, 4, 7.999].map(at), [[0, 0, 320, 180], [320, 0, 320, 180], [0, 180, 320, 180], [320, 180, 320, 180]]);
});

test('what is no storyboard is none', () => {
  for (const manifest of [undefined, null, {}, { Period: [] }, { Period: [period(0, 4, 0, [])] }, { Period: [period(0, 4, 0, [S(0, 9)], 'x')] }]) {
    assert.deepEqual(storyboardOf(manifest, URL_OF_LIVE), []);
  }
});
