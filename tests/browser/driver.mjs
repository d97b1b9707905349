/**
 * Drives a headless Chromium for the end-to-end tests. One task as JSON in argv[2], one report as a JSON
 * line on standard output:
 *   {"task":"play","player":"dashjs"|"shaka","mpd":URL,"seconds":N,"live":bool,"rate":N,"patient":bool}
 *   {"task":"explore","player":"dashjs"|"shaka"|"hlsjs","url":URL,"scheme":URI,"slow":bytes a second or null,"slowSeconds":N,
 *    "fastSeconds":N,"seeks":[0..1 of what can be sought to]}
 *   {"task":"glass","url":URL,"settle":N,"seconds":N}
 *   {"task":"pages","http":URL,"paths":[...],"seconds":N,"screenshots":DIR}
 * Exit code 0 when the browser could be driven; what went wrong in the page is in the report.
 */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const HERE = dirname(fileURLToPath(import.meta.url));
const LIBRARIES = {
  '/dashjs.js': 'node_modules/dashjs/dist/modern/umd/dash.all.min.js',
  '/shaka.js': 'node_modules/shaka-player/dist/shaka-player.compiled.js',
  '/hlsjs.js': 'node_modules/hls.js/dist/hls.min.js',
  '/players.js': 'players.js',
  '/play.js': 'play.js',
  '/explore.js': 'explore.js',
};
const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required',
];

function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--headless=new', ...ARGS],
  });
}

/** Serves the player's page from loopback: another origin than the stream's, as an embedding shop is. */
async function host() {
  const server = createServer((request, response) => {
    const library = LIBRARIES[new URL(request.url, 'http://x').pathname];
    if (request.url === '/favicon.ico') return response.writeHead(204).end();
    if (!library) {
      response.writeHead(200, { 'content-type': 'text/html' });
      return response.end('<!doctype html><title>player</title><video id="video" width="640" height="360"></video>');
    }
    return readFile(join(HERE, library)).then((bytes) => {
      response.writeHead(200, { 'content-type': 'text/javascript' });
      response.end(bytes);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** Notes what a page does wrong; replies that a player asks for on suspicion (404 of a segment to come) are wrong here too. */
function watch(page, errors) {
  page.on('pageerror', (error) => errors.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) errors.push(`status ${response.status()}: ${response.url()}`);
  });
}

/** Does `work` on a page with a player and a script of ours; what the page did wrong is in its report as well. */
async function withPlayer(player, script, work) {
  const origin = await host();
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 960, height: 540 } });
    const errors = [];
    watch(page, errors);
    await page.goto(origin.url);
    for (const name of [player, 'players', script]) await page.addScriptTag({ url: `${origin.url}/${name}.js` });
    const report = await work(page);
    return { ...report, errors: [...errors, ...report.errors] };
  } finally {
    await browser.close();
    origin.close();
  }
}

function play(task) {
  return withPlayer(task.player, 'play', (page) => page.evaluate((given) => globalThis.play(given), task));
}

/** Longest wait for a picture to move, at the start and after a seek, in seconds. */
const MOVING_S = 15;
/** What a connection that is not throttled is: no limits. */
const UNTHROTTLED = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 };

/** Plays, makes the connection slow for a while, and seeks. */
function explore(task) {
  return withPlayer(task.player, 'explore', async (page) => {
    const look = () => page.evaluate(() => globalThis.explore.look());
    const network = await page.context().newCDPSession(page);
    await network.send('Network.enable');
    const startup = await page.evaluate(([player, url, scheme, limit]) => globalThis.explore.open(player, url, scheme, limit), [task.player, task.url, task.scheme, MOVING_S]);
    const started = await look();
    await page.waitForTimeout(task.fastSeconds * 1000);
    const before = await look();
    let slow = null;
    if (task.slow) {
      await network.send('Network.emulateNetworkConditions', { ...UNTHROTTLED, downloadThroughput: task.slow });
      await page.waitForTimeout(task.slowSeconds * 1000);
      slow = await look();
      await network.send('Network.emulateNetworkConditions', UNTHROTTLED);
      await page.waitForTimeout(task.fastSeconds * 1000);
    }
    const after = await look();
    const seeks = [];
    for (const share of task.seeks) {
      const { range: [from, to] } = await look();
      seeks.push(await page.evaluate(([to, limit]) => globalThis.explore.seek(to, limit), [from + (to - from) * share, MOVING_S]));
    }
    const report = await page.evaluate(() => globalThis.explore.report());
    return { ...report, startup, started, before, slow, after, seeks };
  });
}

/** Reads the time that a camera has drawn, from gopcast's own page. */
async function glass(task) {
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const errors = [];
    watch(page, errors);
    await page.goto(task.url);
    await page.waitForFunction(() => globalThis.gopcast?.stats().state === 'playing', null, { timeout: 30_000 });
    // The page's own policy lets no script in but by the debugger.
    await page.evaluate(await readFile(join(HERE, 'glass.js'), 'utf8'));
    const report = await page.evaluate((given) => globalThis.glass(given), task);
    return { ...report, errors };
  } finally {
    await browser.close();
  }
}

/** Puts the pointer on the middle of the seek bar, and waits for the picture that is to be seen there. */
async function hover(page) {
  const box = await page.locator('#seek').boundingBox();
  if (box === null) return null;
  await page.mouse.move(box.x + box.width / 2 - 3, box.y + box.height / 2);
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const seen = () => {
    const image = document.querySelector('#seek-picture:not([hidden]) img');
    // The controls fade in.
    if (!image?.naturalWidth || getComputedStyle(document.querySelector('#controls')).opacity !== '1') return null;
    return { url: image.src, size: [image.naturalWidth, image.naturalHeight], text: document.querySelector('#seek-time').textContent };
  };
  const found = await page.waitForFunction(seen, null, { timeout: 10_000 }).catch(() => null);
  return found && found.jsonValue();
}

async function pages(task) {
  const browser = await launch();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const errors = [];
    const foreign = [];
    watch(page, errors);
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(`${task.http}/`) && !/^(blob|data):/.test(url)) foreign.push(url);
    });
    const seen = [];
    for (const [number, path] of task.paths.entries()) {
      await page.goto(task.http + path);
      const video = path.startsWith('/watch/');
      const position = () => page.evaluate(() => document.querySelector('video')?.currentTime ?? 0);
      let moved = null;
      let preview = null;
      if (video) {
        await page.waitForFunction(() => (document.querySelector('video')?.currentTime ?? 0) > 0, null, { timeout: 20_000 })
          .catch(() => errors.push(`${path}: the video did not start`));
        const from = await position();
        await page.waitForTimeout(task.seconds * 1000);
        moved = (await position()) - from;
        preview = await hover(page);
      } else {
        await page.waitForLoadState('networkidle').catch(() => {});
        await page.waitForTimeout(1000);
      }
      const screenshot = join(task.screenshots, `page-${number}.png`);
      await page.screenshot({ path: screenshot });
      seen.push({
        path,
        title: await page.title(),
        text: await page.evaluate(() => document.body.innerText),
        moved,
        frames: await page.evaluate(() => document.querySelector('video')?.getVideoPlaybackQuality().totalVideoFrames ?? 0),
        posters: await page.evaluate(() => [...document.querySelectorAll('img.poster')].filter((i) => i.naturalWidth > 0).map((i) => new URL(i.src).pathname)),
        poster: await page.evaluate(() => document.querySelector('video')?.getAttribute('poster') ?? null),
        preview,
        screenshot,
      });
    }
    return { errors, foreign, pages: seen };
  } finally {
    await browser.close();
  }
}

const task = JSON.parse(process.argv[2]);
const report = await { pages, play, glass, explore }[task.task](task);
process.stdout.write(`${JSON.stringify(report)}\n`);
