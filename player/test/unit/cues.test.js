/** Timed events: what is seen when, and that nothing an event says gets further than text. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { cardOf, cueAt, cuesOf, SCHEME } from '../../src/core/cues.js';

const event = (id, presentationTime, data, duration) => ({ id, presentationTime, duration, messageData: JSON.stringify(data) });
const period = (start, ...events) => ({ start, EventStream: [{ schemeIdUri: SCHEME, timescale: 90_000, Event: events }] });

test('events are at their time in their period', () => {
  const manifest = { Period: [period(0, event(1, 450_000, { title: 'a' })), period(60.5, event(2, 45_000, { title: 'b' }, 180_000))] };
  const found = cuesOf(manifest).map(({ id, at, until }) => [id, at, until]);
  assert.deepEqual(found, [['1', 5, 25], ['2', 61, 63]]);
});

test('other schemes, and what has no title, are left alone', () => {
  const foreign = { Period: [{ start: 0, EventStream: { schemeIdUri: 'urn:x', Event: event(1, 0, { title: 'a' }) } }] };
  assert.deepEqual(cuesOf(foreign), []);
  assert.deepEqual(cuesOf({ Period: [period(0, event(1, 0, { price: '5' }))] }), []);
  assert.deepEqual(cuesOf(undefined), []);
});

test('the one that began last is seen, from its frame on and until its end', () => {
  const cues = cuesOf({ Period: [period(0, event(1, 90_000, { title: 'a' }, 900_000), event(2, 270_000, { title: 'b' }, 90_000))] });
  const seen = (time) => cueAt(cues, time)?.id ?? null;
  assert.deepEqual([0.96, 0.99999, 1, 2.9, 3, 3.9, 4, 10.9, 11].map(seen), [null, '1', '1', '1', '2', '2', '1', '1', null]);
});

test('addresses count only if they are https', () => {
  const card = (link) => cardOf(JSON.stringify({ title: 't', link, image: link }));
  for (const bad of ['javascript:alert(1)', 'http://a/', 'data:text/html,x', '//a/', 'https://u:p@a/', 5, null, 'x']) {
    assert.equal(card(bad).link, null, String(bad));
    assert.equal(card(bad).image, null, String(bad));
  }
  assert.equal(card('https://shop.example/a b').link, 'https://shop.example/a%20b');
});

test('data that are no product show nothing, and texts are bounded', () => {
  for (const bad of ['', 'x', '[]', 'null', '7', '"a"', '{}', '{"title":""}', '{"title":{}}']) assert.equal(cardOf(bad), null, bad);
  assert.equal(cardOf(JSON.stringify({ title: 'x'.repeat(500), price: 49 })).title.length, 120);
  assert.equal(cardOf('{"title":"t","price":49}').price, '49');
});
