/** The quality menu: automatic, or one rung. A menu as ARIA has it: arrows move, Escape closes and gives the focus back. */

import { bitRate, rungName, UNKNOWN } from '../core/format.js';
import { byId, h, setText, show } from './dom.js';
import { icon } from './icons.js';

export class QualityMenu {
  /** `engine` lists the rungs and takes the choice. */
  constructor(engine) {
    this.engine = engine;
    this.button = byId('quality');
    this.menu = byId('quality-menu');
    this.label = h('span');
    this.chosen = null;
    this.button.append(icon('gear'), this.label);
    this.button.addEventListener('click', () => (this.open ? this.close(true) : this.#show()));
    this.menu.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('pointerdown', (event) => {
      if (this.open && !this.menu.contains(event.target) && !this.button.contains(event.target)) this.close(false);
    });
  }

  get open() {
    return !this.menu.hidden;
  }

  /** Shows the present rung on the button. */
  render() {
    const rungs = this.engine.rungs();
    show(this.button, rungs.length > 0);
    const name = rungName(this.engine.rung());
    const text = this.chosen !== null || name === UNKNOWN ? name : `Auto ${name}`;
    setText(this.label, text);
    this.button.setAttribute('aria-label', `Quality: ${text}`);
  }

  /** Another stream: its rungs are others, so the choice falls back to automatic. */
  reset() {
    this.close(false);
    if (this.chosen === null) return;
    this.chosen = null;
    this.engine.choose(null);
  }

  close(refocus) {
    if (!this.open) return;
    show(this.menu, false);
    this.button.setAttribute('aria-expanded', 'false');
    if (refocus) this.button.focus();
  }

  #show() {
    const rungs = this.engine.rungs();
    this.menu.replaceChildren(
      this.#item(null, 'Automatic', 'fits your connection'),
      ...rungs.map((rung) => this.#item(rung.id, rungName(rung), bitRate(rung.bandwidth))),
    );
    show(this.menu, true);
    this.button.setAttribute('aria-expanded', 'true');
    (this.menu.querySelector('[aria-checked="true"]') ?? this.menu.firstElementChild).focus();
  }

  #item(id, name, detail) {
    return h(
      'button.menu-item',
      {
        type: 'button',
        role: 'menuitemradio',
        tabindex: '-1',
        'aria-checked': String(this.chosen === id),
        onclick: () => {
          this.chosen = id;
          this.engine.choose(id);
          this.close(true);
          this.render();
        },
      },
      icon('check'),
      h('span.menu-name', {}, name),
      h('span.menu-detail', {}, detail),
    );
  }

  #key(event) {
    const items = [...this.menu.children];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      items[(to + items.length) % items.length].focus();
    } else if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      this.close(true);
    } else if (event.key === 'Tab') {
      this.close(false);
    }
  }
}
