/**
 * Names in URLs: which page an address asks for, and the addresses of pages and objects.
 * Invariant: an identifier leaves this module only if it has the exact shape the services give it,
 * so it can be put into a path without escaping.
 */

/** A live's name: 1 to 63 of a-z, 0-9 and inner '-'. */
const LIVE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** A broadcast: a lower-case UUID of version 7, so that text order is time order. */
const BROADCAST = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** A path on this host, of plain characters only: what an index may name as a manifest. */
const LOCAL_PATH = /^\/(?!\/)[A-Za-z0-9._~\/-]{1,255}$/;

/** First part of the path of the pages that play: gopcast's own, and the one that other sites put into theirs. */
const PLAYER_PAGES = ['watch', 'embed'];

/** The text if it names a live, else null. */
export function liveId(value) {
  return typeof value === 'string' && LIVE.test(value) ? value : null;
}

/** The text if it names a broadcast, else null. */
export function broadcastId(value) {
  return typeof value === 'string' && BROADCAST.test(value) ? value : null;
}

/** The text if it is a plain path on this host, else null. */
export function localPath(value) {
  return typeof value === 'string' && LOCAL_PATH.test(value) && !value.includes('..') ? value : null;
}

/**
 * What `/watch/{live}` or `/watch/{live}/{broadcast}` asks for, or the same under `/embed/`:
 * `{mode: 'live', live}`, `{mode: 'replay', live, broadcast}`, or null for any other address.
 */
export function watchRoute(pathname) {
  const parts = String(pathname).split('/').filter((part) => part !== '');
  if (!PLAYER_PAGES.includes(parts[0]) || parts.length < 2 || parts.length > 3) return null;
  const live = liveId(parts[1]);
  if (live === null) return null;
  if (parts.length === 2) return { mode: 'live', live, broadcast: null };
  const broadcast = broadcastId(parts[2]);
  return broadcast === null ? null : { mode: 'replay', live, broadcast };
}

/** Address of the page of a live. */
export const livePage = (live) => `/watch/${live}`;
/** Address of the page of a replay. */
export const replayPage = (live, broadcast) => `/watch/${live}/${broadcast}`;
/** The list of lives. */
export const LIVES_INDEX = '/live/index.json';
/** What one live has on air and to replay. */
export const liveIndex = (live) => `/live/${live}/index.json`;
/** The stable manifest of a live. */
export const liveManifest = (live) => `/live/${live}/manifest.mpd`;
/** The manifest of one broadcast, from its first second. */
export const broadcastManifest = (live, broadcast) => `/vod/${live}/${broadcast}/manifest.mpd`;
