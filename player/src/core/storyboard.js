/**
 * The storyboard: from the player's parsed manifest to the picture that a moment of the show has. dash.js could be asked too, but knows
 * only Periods that it has played (5.2), and gives an address without an object where there is none.
 * Pure: data in, data out.
 */

/** What says that a set of images is a storyboard, and how many pictures an image has (DASH-IF IOP 4.3, 6.2.6). */
const SCHEMES = ['http://dashif.org/guidelines/thumbnail_tile', 'http://dashif.org/thumbnail_tile'];
/** Times come from fractions: a moment that is an image's own may be a hair before it, in ticks. */
const HAIR = 0.5;

/**
 * The storyboards of a manifest (as dash.js parses it) that was read at `url`, one per Period that has one; for `pictureAt`.
 */
export function storyboardOf(manifest, url) {
  const periods = list(manifest?.Period);
  const base = resolve(manifest, url);
  return periods.flatMap((period, n) => {
    const start = Number(period.start ?? 0);
    const length = Number(period.duration ?? NaN);
    const until = Number.isFinite(length) ? start + length : Number(periods[n + 1]?.start ?? Infinity);
    const inPeriod = resolve(period, base);
    return list(period.AdaptationSet).flatMap((set) => {
      const inSet = resolve(set, inPeriod);
      const boards = list(set.Representation).map((one) => board(one, set, resolve(one, inSet)));
      // The smallest: it is shown small.
      const [best] = boards.filter((one) => one !== null).sort((a, b) => a.width - b.width);
      return best === undefined ? [] : [{ start, until, ...best }];
    });
  });
}

/**
 * The picture of a moment: {url, x, y, width, height, imageWidth, imageHeight}, where it is in which image, in pixels; null where there is
 * none. Times are seconds of the media timeline.
 */
export function pictureAt(boards, time) {
  const found = boards.find(({ start, until }) => time >= start && time < until);
  if (found === undefined) return null;
  const at = (time - found.start) * found.timescale + found.offset + HAIR;
  const image = imageAt(found.timeline, at);
  if (image === null) return null;
  const { columns, rows, width, height } = found;
  const nth = Math.min(columns * rows - 1, Math.floor(((at - image.time) / image.duration) * columns * rows));
  return {
    url: new URL(found.media.replace('$Time$', String(image.time)), found.base).href,
    x: (nth % columns) * (width / columns),
    y: Math.floor(nth / columns) * (height / rows),
    width: width / columns,
    height: height / rows,
    imageWidth: width,
    imageHeight: height,
  };
}

/** The image that a moment is in, both in ticks: {time, duration}, or null. */
function imageAt(timeline, at) {
  let time = 0;
  for (const s of timeline) {
    time = Number(s.t ?? time);
    const duration = Number(s.d);
    const count = Number(s.r ?? 0) + 1;
    if (at < time) return null;
    if (at < time + duration * count) {
      return { time: time + Math.floor((at - time) / duration) * duration, duration };
    }
    time += duration * count;
  }
  return null;
}

/** What a Representation says of its images; null if it is no storyboard. */
function board(representation, set, base) {
  const said = list(representation.EssentialProperty ?? set.EssentialProperty).find(({ schemeIdUri }) => SCHEMES.includes(schemeIdUri));
  const shape = /^(\d+)x(\d+)$/.exec(String(said?.value ?? ''));
  const template = representation.SegmentTemplate ?? set.SegmentTemplate;
  const timeline = list(template?.SegmentTimeline?.S);
  const [width, height] = [Number(representation.width), Number(representation.height)];
  if (shape === null || timeline.length === 0 || typeof template.media !== 'string' || !(width > 0) || !(height > 0)) return null;
  return {
    base,
    media: template.media.replace('$RepresentationID$', representation.id),
    timescale: Number(template.timescale ?? 1),
    offset: Number(template.presentationTimeOffset ?? 0),
    timeline,
    columns: Math.max(1, Number(shape[1])),
    rows: Math.max(1, Number(shape[2])),
    width,
    height,
  };
}

/** The address that a level of the manifest's own are relative to. */
function resolve(level, base) {
  const [own] = list(level?.BaseURL);
  const text = typeof own === 'string' ? own : own?.__text;
  return typeof text === 'string' && text.trim() !== '' ? new URL(text.trim(), base).href : base;
}

function list(value) {
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
}
