/**
 * Numbers and times as text for people. The present, the locale and the time zone are inputs.
 * Anything that is not a finite number is shown as an en dash, never as "NaN".
 */

/** What stands for a value that is not known. */
export const UNKNOWN = '–';

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

/** Seconds as a clock: `0:07`, `12:34`, `1:02:03`. Negative counts as zero. */
export function clock(seconds) {
  if (!Number.isFinite(seconds)) return UNKNOWN;
  const total = Math.max(0, Math.floor(seconds));
  const s = String(total % MINUTE_S).padStart(2, '0');
  const m = Math.floor(total / MINUTE_S) % 60;
  const h = Math.floor(total / HOUR_S);
  return h > 0 ? `${h}:${String(m).padStart(2, '0')}:${s}` : `${m}:${s}`;
}

/** Seconds in words for screen readers: `1 hour 2 minutes 3 seconds`. */
export function spokenDuration(seconds) {
  if (!Number.isFinite(seconds)) return 'unknown';
  const total = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(total / HOUR_S), 'hour'],
    [Math.floor(total / MINUTE_S) % 60, 'minute'],
    [total % MINUTE_S, 'second'],
  ];
  const text = parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}${count === 1 ? '' : 's'}`)
    .join(' ');
  return text === '' ? '0 seconds' : text;
}

/** How long something has been going on: `just now`, `for 5 min`, `for 2 h 10 min`, `for 3 days`. */
export function elapsed(sinceMs, nowMs) {
  if (!Number.isFinite(sinceMs) || !Number.isFinite(nowMs)) return null;
  const seconds = Math.max(0, (nowMs - sinceMs) / 1000);
  if (seconds < MINUTE_S) return 'just now';
  if (seconds < HOUR_S) return `for ${Math.floor(seconds / MINUTE_S)} min`;
  if (seconds < DAY_S) {
    const minutes = Math.floor(seconds / MINUTE_S) % 60;
    return `for ${Math.floor(seconds / HOUR_S)} h${minutes === 0 ? '' : ` ${minutes} min`}`;
  }
  const days = Math.floor(seconds / DAY_S);
  return `for ${days} day${days === 1 ? '' : 's'}`;
}

/** A date near enough to the present to need no year is given without: `Today, 20:15`, `Mon 3 Nov, 20:15`. */
export function day(ms, nowMs, locale, timeZone) {
  if (!Number.isFinite(ms)) return UNKNOWN;
  const zone = timeZone === undefined ? {} : { timeZone };
  const key = (value) => new Intl.DateTimeFormat('en-CA', { ...zone, dateStyle: 'short' }).format(value);
  const time = new Intl.DateTimeFormat(locale, { ...zone, hour: 'numeric', minute: '2-digit' }).format(ms);
  if (key(ms) === key(nowMs)) return `Today, ${time}`;
  if (key(ms) === key(nowMs - DAY_S * 1000)) return `Yesterday, ${time}`;
  const sameYear = key(ms).slice(0, 4) === key(nowMs).slice(0, 4);
  const date = new Intl.DateTimeFormat(locale, {
    ...zone,
    day: 'numeric',
    month: 'short',
    ...(sameYear ? { weekday: 'short' } : { year: 'numeric' }),
  }).format(ms);
  return `${date}, ${time}`;
}

/** Bits per second: `850 kbit/s`, `4.5 Mbit/s`. */
export function bitRate(bitsPerSecond) {
  if (!Number.isFinite(bitsPerSecond) || bitsPerSecond <= 0) return UNKNOWN;
  if (bitsPerSecond < 1_000_000) return `${Math.round(bitsPerSecond / 1000)} kbit/s`;
  const mega = bitsPerSecond / 1_000_000;
  return `${mega < 10 ? mega.toFixed(1) : Math.round(mega)} Mbit/s`;
}

/** Seconds with one decimal: `3.2 s`. */
export function seconds(value) {
  return Number.isFinite(value) ? `${value.toFixed(1)} s` : UNKNOWN;
}

/** A rung by its short side, as people name it whichever way the phone is held: `720p`. */
export function rungName(rung) {
  if (rung === null || !(rung.height > 0)) return UNKNOWN;
  const lines = rung.width > 0 ? Math.min(rung.width, rung.height) : rung.height;
  return `${lines}p`;
}

/** Resolution: `1280 × 720`. */
export function resolution(rung) {
  return rung !== null && rung.width > 0 && rung.height > 0 ? `${rung.width} × ${rung.height}` : UNKNOWN;
}
