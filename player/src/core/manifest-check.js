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

const UUID7 = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;

/** Whether `text` is a manifest of `broadcast`: one that names broadcasts must name this one. */
export function checkManifest(text, broadcast) {
  if (!/<MPD[\s>]/.test(text)) return MANIFEST_INVALID;
  if (broadcast === null) return MANIFEST_OK;
  const named = text.match(UUID7);
  return named === null || named.includes(broadcast) ? MANIFEST_OK : MANIFEST_STALE;
}
