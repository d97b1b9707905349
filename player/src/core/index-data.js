/**
 * The JSON objects that the services write, read defensively: whatever comes in, what goes out has
 * exactly the documented shape. An entry that cannot be shown or played is left out; a missing field
 * becomes null. Only a body that is not the object at all is an error.
 */

import { broadcastId, broadcastManifest, liveId, liveManifest, localPath } from './ids.js';

/** Longest title shown, in UTF-16 units: a longer one would only push the page apart. */
export const TITLE_MAX = 120;
/** Most lives shown: the list is rendered whole at each change. */
export const LIVES_MAX = 500;
/** Most replays shown of one live; the services list no more than 50. */
export const REPLAYS_MAX = 100;

/** The body was not the object it should be. */
export class IndexError extends Error {}

/**
 * `/live/index.json` → `{updated, lives: [{live, title, onAir, broadcast, started, poster, lastReplay}]}`.
 * Times are milliseconds since the Unix epoch or null. Throws `IndexError`.
 */
export function parseLives(value) {
  const body = record(value);
  if (body === null || !Array.isArray(body.lives)) throw new IndexError('the list of lives has another shape');
  const seen = new Set();
  const lives = [];
  for (const item of body.lives) {
    if (lives.length >= LIVES_MAX) break;
    const entry = record(item);
    const live = liveId(entry?.live);
    if (live === null || seen.has(live)) continue;
    seen.add(live);
    const onAir = entry.on_air === true;
    lives.push({
      live,
      title: title(entry.title, live),
      onAir,
      broadcast: onAir ? broadcastId(entry.broadcast) : null,
      started: onAir ? time(entry.started) : null,
      poster: onAir ? localPath(entry.poster) : null,
      lastReplay: replay(entry.last_replay, live),
    });
  }
  return { updated: time(body.updated), lives };
}

/**
 * `/live/{live}/index.json` → `{updated, live, title, onAir: {broadcast, started, manifest, poster}|null, replays}`,
 * replays newest first. `live` is the one asked for: a body about another one is an error. Throws `IndexError`.
 */
export function parseLive(value, live) {
  const body = record(value);
  if (body === null || (body.live !== undefined && body.live !== live)) {
    throw new IndexError('the description of this live has another shape');
  }
  const air = record(body.on_air);
  const broadcast = broadcastId(air?.broadcast);
  const replays = [];
  const seen = new Set();
  for (const item of Array.isArray(body.replays) ? body.replays : []) {
    if (replays.length >= REPLAYS_MAX) break;
    const entry = replay(item, live);
    if (entry === null || seen.has(entry.broadcast)) continue;
    seen.add(entry.broadcast);
    replays.push(entry);
  }
  // Ids sort by time, and unlike the times they are always there.
  replays.sort((a, b) => (a.broadcast < b.broadcast ? 1 : -1));
  return {
    updated: time(body.updated),
    live,
    title: title(body.title, live),
    onAir:
      broadcast === null
        ? null
        : { broadcast, started: time(air.started), manifest: localPath(air.manifest) ?? liveManifest(live), poster: localPath(air.poster) },
    replays,
  };
}

function replay(value, live) {
  const entry = record(value);
  const broadcast = broadcastId(entry?.broadcast);
  if (broadcast === null) return null;
  const started = time(entry.started);
  const ended = time(entry.ended);
  let seconds = null;
  if (Number.isFinite(entry.duration_seconds) && entry.duration_seconds >= 0) seconds = entry.duration_seconds;
  else if (started !== null && ended !== null && ended >= started) seconds = (ended - started) / 1000;
  return {
    broadcast,
    started,
    ended,
    seconds,
    manifest: localPath(entry.manifest) ?? broadcastManifest(live, broadcast),
    poster: localPath(entry.poster),
  };
}

function record(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

function time(value) {
  if (typeof value !== 'string') return null;
  const ms = Date.parse(value);
  return Number.isFinite(ms) ? ms : null;
}

function title(value, fallback) {
  if (typeof value !== 'string') return fallback;
  const text = value.replace(/\s+/g, ' ').trim();
  if (text === '') return fallback;
  return text.length > TITLE_MAX ? `${text.slice(0, TITLE_MAX - 1).trimEnd()}…` : text;
}

/** All lives' last replays, newest first, each with its live's name and title. */
export function latestReplays(lives) {
  return lives
    .filter((entry) => entry.lastReplay !== null)
    .map((entry) => ({ live: entry.live, title: entry.title, ...entry.lastReplay }))
    .sort((a, b) => (a.broadcast < b.broadcast ? 1 : -1));
}
