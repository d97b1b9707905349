/**
 * Where a moment of the live timeline is in the replay. On air, holes (the publisher was away) are filled; the replay has them
 * closed, so what comes after one is earlier there. Pure: manifest text in, seconds out.
 */

/** Media time is presentation time of the broadcast plus this, in seconds. */
const MEDIA_ORIGIN_S = 1;

const PERIOD = /<Period\b([^>]*)>([\s\S]*?)<\/Period>/g;
const DURATION = /^P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$/;

/** `time` (seconds) of the live timeline as a time of the static manifest `text`; null when that can't be told. */
export function replayTime(text, time) {
  if (!/<MPD\b[^>]*\btype="static"/.test(text)) return null;
  const periods = [...text.matchAll(PERIOD)].map(([, own, body]) => period(own, body)).filter((found) => found !== null);
  if (periods.length === 0) return null;
  // Who was superseded may overlap with who took over: the later one was shown.
  const shown = periods.findLast(({ origin, length }) => time >= origin && time < origin + length);
  if (shown !== undefined) return shown.start + time - shown.origin;
  // In a hole, or past the end.
  const after = periods.filter(({ origin }) => origin > time).sort((a, b) => a.origin - b.origin)[0];
  const last = periods.at(-1);
  return after?.start ?? last.start + last.length;
}

/** A Period: where it is in this manifest, and where it was on the live timeline. */
function period(own, body) {
  const template = body.match(/<SegmentTemplate\b([^>]*)>/)?.[1] ?? '';
  const [start, length] = [seconds(attribute(own, 'start')), seconds(attribute(own, 'duration'))];
  const offset = number(template, 'presentationTimeOffset') / number(template, 'timescale');
  return start === null || length === null || !Number.isFinite(offset) ? null : { start, length, origin: offset - MEDIA_ORIGIN_S };
}

function attribute(tag, name) {
  return tag.match(new RegExp(`\\b${name}="([^"]*)"`))?.[1] ?? '';
}

function number(tag, name) {
  return Number(attribute(tag, name) || NaN);
}

/** An xs:duration of days at most, in seconds. */
function seconds(text) {
  const found = text.match(DURATION);
  if (found === null || text.length < 3) return null;
  const [days, hours, minutes, rest] = found.slice(1).map((part) => Number(part ?? 0));
  return ((days * 24 + hours) * 60 + minutes) * 60 + rest;
}
