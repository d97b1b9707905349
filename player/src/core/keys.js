/** Which key asks for what. Pure, so that the table can be tested and the page only carries it out. */

/** Seconds of a small and a large step. */
export const STEP_S = 5;
export const LEAP_S = 10;
/** One step of the volume, of 1. */
export const VOLUME_STEP = 0.1;

const KEYS = new Map([
  [' ', { does: 'toggle' }],
  ['k', { does: 'toggle' }],
  ['ArrowLeft', { does: 'shift', seconds: -STEP_S }],
  ['ArrowRight', { does: 'shift', seconds: STEP_S }],
  ['j', { does: 'shift', seconds: -LEAP_S }],
  ['l', { does: 'shift', seconds: LEAP_S }],
  ['Home', { does: 'to', part: 0 }],
  ['End', { does: 'to', part: 1 }],
  ['ArrowUp', { does: 'volume', by: VOLUME_STEP }],
  ['ArrowDown', { does: 'volume', by: -VOLUME_STEP }],
  ['m', { does: 'mute' }],
  ['f', { does: 'full' }],
  ['i', { does: 'stats' }],
  ['?', { does: 'help' }],
]);

/**
 * What a key press asks for, or null. `press` = {key, modified, on} where `on` is what has the focus:
 * 'text', 'button', 'link', 'seek', 'volume', 'menu' or 'page'. A focused control keeps its own keys.
 */
export function command({ key, modified, on }) {
  if (modified || on === 'text' || on === 'menu') return null;
  const name = key.length === 1 ? key.toLowerCase() : key;
  if ((on === 'button' || on === 'link') && (name === ' ' || name === 'Enter')) return null;
  // On the page itself the arrows up and down, Home and End scroll; on the player they act.
  if (on === 'page' && ['ArrowUp', 'ArrowDown', 'Home', 'End'].includes(name)) return null;
  if (on === 'link' && name.length > 1) return null;
  if (on === 'volume' && ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End'].includes(name)) return null;
  return KEYS.get(name) ?? null;
}
