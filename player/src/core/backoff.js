/** How long to wait before trying again. Randomness is an input. */

/** The first wait, in milliseconds: long enough for a manifest to change, short enough to go unnoticed. */
export const FIRST_WAIT_MS = 1000;
/** The longest wait, in milliseconds: a viewer whose network is back does not wait longer than this. */
export const LONGEST_WAIT_MS = 15_000;

/**
 * Wait before attempt `attempt` (0 is the first retry), in milliseconds: doubles each time up to the
 * longest; `random` in [0, 1) takes off up to half, so that viewers who lost the stream together do
 * not come back together.
 */
export function retryWait(attempt, random) {
  const exponent = Math.min(Math.max(0, Math.floor(attempt)), 10);
  const full = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** exponent);
  return Math.round(full * (1 - random / 2));
}
