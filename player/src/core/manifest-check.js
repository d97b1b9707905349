/**
 * A look at a manifest's text before the player is given it. The stable address of a live names one
 * broadcast after another, and a cache may hold the one before for a moment.
 */

/** The verdicts. */
export const MANIFEST_OK = 'ok';
/** It is the manifest of another broadcast than the one on air. */
export const MANIFEST_STALE = 'stale';
/** It is no manifest at all. */
export const MANIFEST_INVALID = 'invalid';
/** It has a track without a segment yet: players trip over that. */
export const MANIFEST_EMPTY = 'empty';

const EMPTY_TIMELINE = /<SegmentTimeline\s*(?:\/>|>\s*<\/SegmentTimeline>)/;
const UUID7 = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;

/** Whether `text` is a manifest of `broadcast` that can be played: one that names broadcasts must name this one. */
export function checkManifest(text, broadcast) {
  if (!/<MPD[\s>]/.test(text)) return MANIFEST_INVALID;
  const named = broadcast === null ? null : text.match(UUID7);
  if (named !== null && !named.includes(broadcast)) return MANIFEST_STALE;
  return EMPTY_TIMELINE.test(text) ? MANIFEST_EMPTY : MANIFEST_OK;
}

/** Where the HLS multivariant playlist of a manifest is. */
export function playlistOf(manifest) {
  return manifest.replace(/[^/]*$/, 'master.m3u8');
}

/** Whether `text` is a playlist of `broadcast`: one that names broadcasts must name this one. */
export function checkPlaylist(text, broadcast) {
  if (!text.startsWith('#EXTM3U')) return MANIFEST_INVALID;
  const named = broadcast === null ? null : text.match(UUID7);
  return named !== null && !named.includes(broadcast) ? MANIFEST_STALE : MANIFEST_OK;
}
