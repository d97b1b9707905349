/** Which engine a browser gets. Only that one is loaded. */

import { playsNatively } from './native.js';

/** The class of the engine for this browser, or null when it can't play at all. */
export async function pickEngine() {
  // With Media Source Extensions dash.js is the better one everywhere: rungs to choose from, and a latency that is kept.
  if ('MediaSource' in window || 'ManagedMediaSource' in window) return (await import('./engine.js')).Engine;
  return playsNatively() ? (await import('./native.js')).NativeEngine : null;
}
