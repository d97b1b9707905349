/**
 * The built pages in a real browser against real streams, one viewer's evening: wait, watch, rewind,
 * lose the network, see the end, see the next show begin, watch the replay. What must never happen is
 * watched throughout: an error in the console, a breach of the content security policy, a foreign host.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { chromium } from 'playwright-core';
import { Fixture } from '../fixture/server.mjs';

const ARGUMENTS = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
/** Two shared cores encode and play at once: a phase may take this long, in milliseconds. */
const PATIENCE_MS = 45_000;

let fixture;
let browser;

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS });
});
after(() => browser?.close());
beforeEach(async () => {
  fixture = await Fixture.open();
});
afterEach(() => fixture.close());

/** The page of another site that a test makes. */
const shopping = /^http:\/\/127.0.0.1:\d+\/(favicon\.ico)?$/;
/** A page whose complaints are kept. `expected` are network messages that the scenario causes itself. */
async function visit(path, expected = /^$/) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !expected.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error.stack)));
  page.on('request', (request) => {
    if (!/^(blob|data|about):/.test(request.url()) && !request.url().startsWith(fixture.url) && !shopping.test(request.url())) complaints.push(`foreign: ${request.url()}`);
  });
  await page.goto(path.startsWith('/') ? fixture.url + path : path);
  const done = async () => {
    await context.close();
    assert.deepEqual(complaints, []);
  };
  return { page, done };
}

const inPhase = (page, phase) => page.waitForFunction((want) => window.gopcast?.stats().state === want, phase);
const stats = (page) => page.evaluate(() => window.gopcast.stats());
const playsPast = (page, time) => page.waitForFunction((want) => window.gopcast.stats().currentTime > want, time);

test('a live from before its first second to after its last, and its replay', async () => {
  const { page, done } = await visit('/watch/shoes', /404 \(Not Found\)/);
  await inPhase(page, 'waiting');
  await page.locator('#stage').getByText('has not been on air yet').waitFor();

  const first = await fixture.begin('shoes', { title: 'Shoes' });
  await inPhase(page, 'playing');
  await playsPast(page, 2);
  const live = await stats(page);
  assert.equal(live.broadcast, first);
  assert.ok(live.latency > 1 && live.latency < 12, `latency ${live.latency}`);
  assert.ok(live.rung.height > 0 && live.rung.bandwidth > 0);
  assert.equal(live.errors, 0);
  assert.equal(await page.locator('#live.is-edge').count(), 1);

  await page.waitForFunction(() => window.gopcast.player.getDvrWindow().end > 24);
  await page.locator('#stage').focus();
  await page.keyboard.press('Home');
  await page.waitForFunction(() => window.gopcast.stats().latency > 15);
  await page.locator('#live:not(.is-edge)').waitFor();
  await playsPast(page, 1);
  await page.locator('#live').click();
  await page.waitForFunction(() => window.gopcast.stats().latency < 12);
  await page.locator('#live.is-edge').waitFor();

  await page.keyboard.press('k');
  await page.waitForFunction(() => document.querySelector('#video').paused);
  await page.keyboard.press('k');
  await page.waitForFunction(() => !document.querySelector('#video').paused);

  await page.locator('#quality').click();
  await page.getByRole('menuitemradio', { name: /^180p/ }).click();
  await page.waitForFunction(() => document.querySelector('#video').videoHeight === 180);
  assert.equal((await stats(page)).rung.height, 180);

  await page.keyboard.press('?');
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await page.locator('#help').waitFor({ state: 'hidden' });

  await page.getByRole('button', { name: 'Tap for sound' }).click();
  assert.equal(await page.evaluate(() => document.querySelector('#video').muted), false);

  await fixture.end('shoes');
  await inPhase(page, 'ended');
  await page.locator('#stage').getByText('The show has ended').waitFor();
  assert.equal((await stats(page)).errors, 0);

  const second = await fixture.begin('shoes');
  await page.waitForFunction((id) => window.gopcast.stats().broadcast === id && window.gopcast.stats().state === 'playing', second);
  await playsPast(page, 1);
  await done();

  const replay = await visit(`/watch/shoes/${first}`);
  await inPhase(replay.page, 'playing');
  const start = await stats(replay.page);
  assert.ok(start.currentTime < 5, `starts at ${start.currentTime}`);
  assert.equal(start.latency, null);
  assert.equal(await replay.page.locator('[aria-current="true"]').count(), 1);
  await replay.page.locator('#seek-input').focus();
  await replay.page.keyboard.press('End');
  await inPhase(replay.page, 'ended');
  await replay.page.getByRole('button', { name: 'Watch again' }).click();
  await inPhase(replay.page, 'playing');
  await replay.page.waitForFunction(() => window.gopcast.stats().currentTime < 5);
  assert.equal((await stats(replay.page)).errors, 0);
  await replay.done();

  const early = await visit(`/watch/shoes/${second}`);
  await inPhase(early.page, 'playing');
  assert.ok((await stats(early.page)).currentTime < 5, 'from the start though it is on air');
  await early.page.getByRole('link', { name: 'Watch live' }).waitFor();
  await early.done();
});

test('what plays turns into a replay whose holes are closed, and goes on at the same moment', async () => {
  const broadcast = await fixture.begin('coats', { origin: 1 });
  const { page, done } = await visit(`/watch/coats/${broadcast}`);
  await inPhase(page, 'playing');
  await playsPast(page, 7);
  fixture.closeHole('coats', 2);
  await fixture.end('coats');
  const before = await stats(page);
  // Four seconds are gone from before this moment; the rest is what played meanwhile.
  await page.waitForFunction((was) => {
    const { currentTime, readyState } = document.querySelector('#video');
    return readyState > 2 && currentTime > was - 4.5 && currentTime < was;
  }, before.currentTime);
  await inPhase(page, 'ended');
  assert.equal((await stats(page)).errors, 0);
  await done();
});

test('a lost network is waited out without a reload', async () => {
  await fixture.begin('hats');
  const { page, done } = await visit('/watch/hats', /ERR_|Failed to load/);
  await inPhase(page, 'playing');
  await playsPast(page, 2);
  fixture.setDown(true);
  await inPhase(page, 'retrying');
  await page.locator('#stage').getByText('No signal').waitFor();
  fixture.setDown(false);
  await inPhase(page, 'playing');
  const at = (await stats(page)).currentTime;
  await playsPast(page, at + 2);
  await done();
});

test('the front page follows what is on air', async () => {
  const { page, done } = await visit('/');
  await page.getByRole('heading', { name: 'Nothing is on air right now' }).waitFor();
  await fixture.begin('bags', { title: '<b>Bags</b> & more' });
  await page.locator('#on-air-list').getByText('<b>Bags</b> & more').waitFor();
  assert.equal(await page.locator('#on-air-list b').count(), 0);
  await page.locator('#on-air-list a').click();
  await inPhase(page, 'playing');
  await fixture.end('bags');
  await page.goto(`${fixture.url}/`);
  await page.locator('#replays-list').getByText('<b>Bags</b> & more').waitFor();
  await done();
});

test('another site holds the bare player in its page', async () => {
  await fixture.begin('rings', { title: 'Rings' });
  const shop = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<!doctype html><title>shop</title><iframe src="${fixture.url}/embed/rings" width="480" height="270" allow="fullscreen"></iframe>`);
  });
  shop.listen(0, '127.0.0.1');
  await once(shop, 'listening');
  const { page, done } = await visit('about:blank');
  await page.goto(`http://127.0.0.1:${shop.address().port}/`);
  const frame = page.frames().find((each) => each.url().startsWith(fixture.url));
  await inPhase(frame, 'playing');
  await playsPast(frame, 1);
  const shape = await frame.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]);
  assert.deepEqual(shape, [480, 270], 'the stage fills the frame and no more');
  assert.equal(await frame.locator('#about').count(), 0);
  await fixture.end('rings');
  await inPhase(frame, 'ended');
  const link = frame.getByRole('link', { name: 'Watch the replay' });
  await link.waitFor();
  assert.equal(await link.evaluate((each) => each.target || document.querySelector('base').target), '_blank');
  await page.goto('about:blank');
  shop.close();
  await done();
});

test('a browser without Media Source Extensions plays the HLS twin by itself', async () => {
  const broadcast = await fixture.begin('scarves', { title: 'Scarves' });
  const { page, done } = await visit('about:blank');
  await page.addInitScript(() => {
    delete window.MediaSource;
    delete window.ManagedMediaSource;
  });
  await page.goto(`${fixture.url}/watch/scarves`);
  await inPhase(page, 'playing');
  await playsPast(page, 2);
  assert.equal(await page.evaluate(() => window.gopcast.player), null);
  assert.ok((await stats(page)).rung.height > 0);
  assert.equal(await page.locator('#quality').isHidden(), true, 'the browser chooses the rung');
  await page.locator('#live').waitFor();
  await fixture.end('scarves');

  await page.goto(`${fixture.url}/watch/scarves/${broadcast}`);
  await inPhase(page, 'playing');
  await playsPast(page, 1);
  assert.match(await page.evaluate(() => document.querySelector('#video').currentSrc), /master\.m3u8$/);
  await page.locator('#stage').focus();
  await page.keyboard.press('k');
  await page.waitForFunction(() => document.querySelector('#video').paused);
  await page.keyboard.press('k');
  await page.waitForFunction(() => !document.querySelector('#video').paused);
  const { errors, errorLog } = await stats(page);
  assert.equal(errors, 0, JSON.stringify(errorLog));
  await done();
});

test('addresses that lead nowhere say so', async () => {
  const nowhere = await visit('/watch/Not-A-Live');
  await nowhere.page.locator('#stage').getByText('There is nothing at this address').waitFor();
  await nowhere.done();
  const gone = await visit('/watch/shoes/018bcfe5-6801-7000-8000-000000000000', /404 \(Not Found\)/);
  await gone.page.locator('#stage').getByText('There is no such replay').waitFor();
  await gone.done();
});

test('a timed event is a card from its picture on, also after a seek, and only ever text', async () => {
  const { page, done } = await visit('/watch/shoes', /404 \(Not Found\)/);
  let at = null;
  const data = { title: '<b>Red</b> shoes', text: 'New', price: '49 €', link: 'https://shop.example/red', image: 'javascript:alert(1)' };
  await page.route('**/manifest.mpd', async (route) => {
    const reply = await route.fetch();
    const text = await reply.text();
    if (at === null || !/<Period[^>]*>/.test(text)) return route.fulfill({ response: reply, body: text });
    const message = JSON.stringify(data).replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
    const event = `<Event id="7" presentationTime="${at * 1000}" duration="3000" messageData="${message}"/>`;
    const stream = `<EventStream schemeIdUri="urn:gopcast:event:2026" timescale="1000">${event}</EventStream>`;
    return route.fulfill({ response: reply, body: text.replace(/<Period[^>]*>/, (period) => period + stream) });
  });
  await fixture.begin('shoes', { title: 'Shoes' });
  await inPhase(page, 'playing');
  await playsPast(page, 2);
  at = Math.ceil((await stats(page)).currentTime) + 4;
  const card = page.locator('#cue');
  await page.waitForFunction(() => window.gopcast.cue().cues.length === 1);
  assert.equal(await card.isVisible(), false);
  await page.waitForFunction(() => window.gopcast.cue().id === '7');
  const { mediaTime } = await page.evaluate(() => window.gopcast.cue());
  // Chromium may leave out a picture on a busy machine.
  assert.ok(mediaTime >= at - 0.002 && mediaTime < at + 0.25, `seen at ${mediaTime}, it is at ${at}`);
  assert.equal(await card.locator('.cue-title').textContent(), '<b>Red</b> shoes');
  assert.equal(await card.locator('b, img, script').count(), 0);
  assert.equal(await card.locator('a').getAttribute('href'), 'https://shop.example/red');
  await card.waitFor({ state: 'hidden' });

  await page.evaluate((time) => window.gopcast.player.seekToPresentationTime(time), at + 1);
  await card.waitFor({ state: 'visible' });
  await page.evaluate((time) => window.gopcast.player.seekToPresentationTime(time), at - 2);
  await card.waitFor({ state: 'hidden' });
  await done();
});
