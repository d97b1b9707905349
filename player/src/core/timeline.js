/**
 * The seek bar's arithmetic: the part of the stream one can seek in, where the playhead is in it, and
 * whether that is "live". All times are seconds on the media timeline.
 */

/**
 * How far behind the live point still counts as live. Segments come whole, so that the distance
 * swings by one of them even when nothing is wrong; GOPs are 1 to 4 s.
 */
export const LIVE_SLACK_S = 4;
/** A window shorter than this cannot be seeked in usefully: the bar is shown full. */
export const MIN_WINDOW_S = 2;

/**
 * What can be seeked in. Live: from the start of the rewind window to the live point, which is the
 * window's end less the player's target delay. Replay: the whole.
 * `media` = {dynamic, windowStart, windowEnd, targetDelay, duration}. Returns {start, end}, or null if unknown.
 */
export function seekRange(media) {
  if (media.dynamic) {
    const { windowStart, windowEnd } = media;
    if (!Number.isFinite(windowStart) || !Number.isFinite(windowEnd)) return null;
    const delay = Number.isFinite(media.targetDelay) ? media.targetDelay : 0;
    return { start: windowStart, end: Math.max(windowStart, windowEnd - delay) };
  }
  return Number.isFinite(media.duration) && media.duration > 0 ? { start: 0, end: media.duration } : null;
}

/** Where a time is in a range, 0 to 1. A range too short to seek in counts as played to its end. */
export function fraction(range, time) {
  if (range === null || !Number.isFinite(time)) return 0;
  const size = range.end - range.start;
  if (size < MIN_WINDOW_S) return 1;
  return Math.min(1, Math.max(0, (time - range.start) / size));
}

/** The time at a fraction of a range. */
export function timeAt(range, part) {
  return range.start + (range.end - range.start) * Math.min(1, Math.max(0, part));
}

/** A time moved by some seconds, kept inside the range. */
export function shifted(range, time, seconds) {
  return Math.min(range.end, Math.max(range.start, time + seconds));
}

/** Seconds behind the live point, never negative. */
export function behindLive(range, time) {
  return range === null || !Number.isFinite(time) ? 0 : Math.max(0, range.end - time);
}

/** Whether the playhead is at the live edge. */
export function atLiveEdge(range, time) {
  return behindLive(range, time) <= LIVE_SLACK_S;
}

/** The end of the buffered span that holds `time`, or `time` itself. `spans` = [[start, end], …]. */
export function bufferedUntil(spans, time) {
  // A playhead may stand a frame before the span that it is about to play.
  const TOLERANCE_S = 0.25;
  for (const [start, end] of spans) {
    if (time >= start - TOLERANCE_S && time <= end) return end;
  }
  return time;
}
