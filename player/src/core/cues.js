/**
 * Timed events of a show (a product goes on sale): from the player's parsed manifest to what is to be seen at a moment.
 * Pure: data in, data out. Whatever an event says is text; addresses count only if they are https.
 */

/** The scheme of gopcast's events. */
export const SCHEME = 'urn:gopcast:event:2026';
/** An event that does not say how long it lasts is seen this long, in seconds. */
const SEEN_S = 20;
/** Longest texts shown, in characters. */
const LONGEST = { title: 120, text: 300, price: 40, label: 40 };

/** The events that a manifest (as dash.js parses it) has, by time: {id, at, until, card}; times in seconds of the media timeline. */
export function cuesOf(manifest) {
  const cues = [];
  for (const period of list(manifest?.Period)) {
    const start = Number(period.start ?? 0);
    for (const stream of list(period.EventStream)) {
      if (stream.schemeIdUri !== SCHEME) continue;
      const scale = Number(stream.timescale ?? 1);
      const offset = Number(stream.presentationTimeOffset ?? 0);
      for (const event of list(stream.Event)) {
        const at = start + (Number(event.presentationTime ?? 0) - offset) / scale;
        const length = event.duration === undefined ? SEEN_S : Number(event.duration) / scale;
        const card = cardOf(event.messageData);
        if (Number.isFinite(at) && Number.isFinite(length) && card !== null) {
          cues.push({ id: String(event.id), at, until: at + length, card });
        }
      }
    }
  }
  return cues.sort((a, b) => a.at - b.at);
}

/** What is to be seen at `time`: of those that last, the one that began last; or null. */
export function cueAt(cues, time) {
  // Times come from fractions: a frame that is an event's own may be a hair before it.
  const now = time + 0.001;
  return cues.findLast(({ at, until }) => at <= now && now < until) ?? null;
}

/** {title, text, price, label, image, link} of an event's data; null if there is nothing to show. */
export function cardOf(data) {
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null;
  const text = (name) => {
    const said = value[name];
    return typeof said === 'string' || typeof said === 'number' ? String(said).slice(0, LONGEST[name]) : '';
  };
  const title = text('title');
  if (title === '') return null;
  return { title, text: text('text'), price: text('price'), label: text('label'), image: https(value.image), link: https(value.link) };
}

/** An https address as the browser spells it, or null. */
function https(address) {
  if (typeof address !== 'string') return null;
  try {
    const url = new URL(address);
    return url.protocol === 'https:' && url.username === '' && url.password === '' ? url.href : null;
  } catch {
    return null;
  }
}

function list(value) {
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
}
