/**
 * The card of a timed event over the picture. It follows the pictures themselves: what is seen is a function of the picture that
 * is on screen, so it is right after a seek and in a replay as well.
 */

import { cueAt } from '../core/cues.js';
import { byId, h, show } from './dom.js';

export class CueCard {
  /** `engine` has the element, and the events of what it plays. */
  constructor(engine) {
    this.engine = engine;
    this.box = byId('cue');
    this.shown = null;
    /** For diagnostics: which event is seen, and the media time of the picture that it came with. */
    this.seen = { id: null, mediaTime: null };
    this.#follow(engine.video);
  }

  /** Shows what belongs to a time of the media timeline. */
  render(time) {
    const cue = this.engine.attached ? cueAt(this.engine.cues ?? [], time) : null;
    const key = cue === null ? null : `${this.engine.broadcast} ${cue.id}`;
    if (key === this.shown) return;
    this.shown = key;
    this.seen = { id: cue?.id ?? null, mediaTime: time };
    if (cue !== null) this.box.replaceChildren(...parts(cue.card));
    show(this.box, cue !== null);
  }

  #follow(video) {
    if (typeof video.requestVideoFrameCallback === 'function') {
      const frame = (_, { mediaTime }) => {
        this.render(mediaTime);
        video.requestVideoFrameCallback(frame);
      };
      video.requestVideoFrameCallback(frame);
    } else {
      const look = () => {
        this.render(video.currentTime);
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    }
    // What ends while the picture stands, and sound without pictures.
    video.addEventListener('timeupdate', () => this.render(video.currentTime));
  }
}

function parts({ title, text, price, label, image, link }) {
  const picture = image === null ? null : h('img.cue-image', { src: image, alt: '', referrerpolicy: 'no-referrer', onerror: (event) => event.target.remove() });
  const words = h(
    'span.cue-words',
    {},
    h('span.cue-title', {}, title),
    text === '' ? null : h('span.cue-text', {}, text),
    price === '' ? null : h('span.cue-price', {}, price),
  );
  const go =
    link === null
      ? null
      : h('a.button.cue-link', { href: link, target: '_blank', rel: 'noopener noreferrer nofollow' }, label === '' ? 'See it' : label);
  return [picture, words, go].filter((part) => part !== null);
}
