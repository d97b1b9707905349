/** What the viewer chose, kept in the browser when it allows that; a private window may not. */

const PREFIX = 'gopcast.';

/** The stored number in [low, high], or `fallback`. */
export function recallNumber(name, low, high, fallback) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    const value = text === null ? NaN : Number(text);
    return value >= low && value <= high ? value : fallback;
  } catch {
    return fallback;
  }
}

/** Stores a number; silently does not when storage is closed or full. */
export function rememberNumber(name, value) {
  try {
    localStorage.setItem(PREFIX + name, String(value));
  } catch {
    // Nothing is lost but the comfort.
  }
}
