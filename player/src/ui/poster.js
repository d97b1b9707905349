/**
 * The pictures of lives and replays: a frame of the show where there is one, and below it one that is always there: the rhythm of GOPs as
 * bars, in colours drawn from the name. The same name always gives the same bars.
 */

import { h, svg } from './dom.js';

const WIDTH = 320;
const HEIGHT = 180;
const BAR = 6;
const STEP = 10;
/** Hues that keep white text and the badges readable on top. */
const HUES = [338, 262, 222, 196, 168, 24, 12, 288];

/** A poster on air is another one after this long, in milliseconds; the address stays. */
const STANDS_MS = 30_000;
/** Images by place and address. Kept, so that a list that is rendered anew shows what it showed until there is something newer. */
const images = new Map();

/**
 * The pictures of one card, from the back to the front; decoration. `name` is what is drawn from, `address` where a frame of the show is, or
 * null, `place` tells lists of one page apart.
 */
export function pictures(name, address, place, now) {
  return address === null ? [bars(name)] : [bars(name), frame(address, place, now)];
}

function frame(address, place, now) {
  const key = `${place} ${address}`;
  let image = images.get(key);
  if (image === undefined) {
    image = h('img.poster', { alt: '', draggable: 'false', decoding: 'async', loading: 'lazy' });
    image.addEventListener('error', () => (image.hidden = true));
    image.addEventListener('load', () => (image.hidden = false));
    images.set(key, image);
  }
  // Of a show that is over it never changes.
  const source = address.startsWith('/live/') ? `${address}?${Math.floor(now / STANDS_MS)}` : address;
  if (image.getAttribute('src') !== source) image.setAttribute('src', source);
  return image;
}

/** The bars as an `svg` element. */
function bars(name) {
  const random = randomFrom(name);
  const hue = HUES[Math.floor(random() * HUES.length)];
  const other = (hue + 40 + random() * 50) % 360;
  const id = `p-${name}-${Math.floor(random() * 1e9)}`;
  const group = svg('g', { fill: `url(#${id}-bar)` });
  let x = -4 - random() * STEP;
  while (x < WIDTH) {
    // One GOP: a tall key picture, then shorter ones.
    const length = 3 + Math.floor(random() * 5);
    const tall = 60 + random() * 70;
    for (let i = 0; i < length && x < WIDTH; i += 1) {
      const height = i === 0 ? tall : tall * (0.18 + random() * 0.42);
      group.append(svg('rect', { x: x.toFixed(1), y: ((HEIGHT - height) / 2).toFixed(1), width: BAR, height: height.toFixed(1), rx: 3, opacity: i === 0 ? 0.95 : 0.5 }));
      x += STEP;
    }
    x += 4;
  }
  const stop = (offset, colour, opacity = 1) => svg('stop', { offset, 'stop-color': colour, 'stop-opacity': opacity });
  return svg(
    'svg',
    { class: 'poster', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'xMidYMid slice', 'aria-hidden': 'true', focusable: 'false' },
    svg(
      'defs',
      {},
      svg('linearGradient', { id: `${id}-ground`, x1: 0, y1: 0, x2: 1, y2: 1 }, stop(0, `hsl(${hue} 55% 17%)`), stop(1, `hsl(${other} 60% 8%)`)),
      svg('linearGradient', { id: `${id}-bar`, gradientUnits: 'userSpaceOnUse', x1: 0, y1: 0, x2: WIDTH, y2: HEIGHT }, stop(0, `hsl(${hue} 80% 66%)`, 0.85), stop(1, `hsl(${other} 85% 58%)`, 0.45)),
    ),
    svg('rect', { width: WIDTH, height: HEIGHT, fill: `url(#${id}-ground)` }),
    group,
  );
}

/** A small generator seeded by text (FNV-1a into mulberry32): for looks only. */
function randomFrom(text) {
  let seed = 0x811c9dc5;
  for (const char of text) seed = Math.imul(seed ^ char.codePointAt(0), 0x01000193);
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
