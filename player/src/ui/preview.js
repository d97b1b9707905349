/**
 * The picture above the seek bar. One is loaded at a time and the newest wish comes next, so that a pointer that sweeps over an hour asks for
 * what it can show and no more. Decoration: where the pointer is, the seek bar says in text.
 */

import { byId, show } from './dom.js';

/** Longest side on the screen, in CSS pixels: where there is room, and on a phone. */
const LONG_SIDE = 200;
const LONG_SIDE_NARROW = 136;
const NARROW = 480;
/** A picture that has not come after so long is given up, in milliseconds. */
const PATIENCE_MS = 3000;

export class Preview {
  constructor() {
    this.box = byId('seek-picture');
    this.image = this.box.querySelector('img');
    this.wanted = null;
    this.loading = false;
  }

  /** Shows a picture (see `pictureAt`) as soon as it is there; null hides it. `room` is how wide the seek bar is, in CSS pixels. */
  show(picture, room) {
    this.wanted = picture === null ? null : { picture, room };
    if (picture === null) show(this.box, false);
    else if (picture.url === this.image.src) this.#place(this.wanted);
    else void this.#load();
  }

  async #load() {
    if (this.loading) return;
    this.loading = true;
    while (this.wanted !== null && this.wanted.picture.url !== this.image.src) {
      const { wanted } = this;
      const there = await loaded(wanted.picture.url);
      // Given up, or nobody wants any: what is shown is not touched.
      if (this.wanted === null) break;
      if (there) {
        this.image.src = wanted.picture.url;
        this.#place(wanted);
      } else if (this.wanted === wanted) {
        show(this.box, false);
        this.wanted = null;
      }
    }
    this.loading = false;
  }

  #place({ picture, room }) {
    const { box, image } = this;
    const long = room < NARROW ? LONG_SIDE_NARROW : LONG_SIDE;
    const scale = long / Math.max(picture.width, picture.height);
    box.style.width = `${picture.width * scale}px`;
    box.style.height = `${picture.height * scale}px`;
    image.style.width = `${picture.imageWidth * scale}px`;
    image.style.height = `${picture.imageHeight * scale}px`;
    image.style.transform = `translate(${-picture.x * scale}px, ${-picture.y * scale}px)`;
    show(box, true);
  }
}

/** Whether an image could be loaded, in time. */
function loaded(url) {
  return new Promise((resolve) => {
    const image = new Image();
    const timer = setTimeout(() => resolve(false), PATIENCE_MS);
    const done = (there) => () => {
      clearTimeout(timer);
      resolve(there);
    };
    image.addEventListener('load', done(true), { once: true });
    image.addEventListener('error', done(false), { once: true });
    image.src = url;
  });
}
