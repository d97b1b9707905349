/** What covers the picture, and the line above it: rendered from the plain data of `watch-view`. */

import { byId, h, show } from './dom.js';

/** Renders the curtain; `act(does)` carries out its buttons. Same data, no change. */
export function curtainRenderer(act) {
  const element = byId('curtain');
  let shown = '';
  return (data) => {
    const key = JSON.stringify(data);
    if (key === shown) return;
    shown = key;
    show(element, data !== null);
    element.classList.toggle('is-busy', data?.busy === true);
    if (data === null) return element.replaceChildren();
    const held = element.contains(document.activeElement);
    element.replaceChildren(
      h(
        'div.curtain-box',
        {},
        data.busy ? h('span.spinner.spinner-big', { 'aria-hidden': 'true' }) : null,
        data.waits ? h('span.pulse', { 'aria-hidden': 'true' }, h('i'), h('i'), h('i')) : null,
        h(data.busy ? 'p.curtain-busy' : 'p.curtain-title', {}, data.title),
        data.text === '' ? null : h('p.curtain-text', {}, data.text),
        data.actions.length === 0 ? null : h('div.curtain-actions', {}, ...data.actions.map((action) => control(action, act))),
      ),
    );
    if (held) element.querySelector('a, button')?.focus();
  };
}

/** Renders the notice. */
export function noticeRenderer(act) {
  const element = byId('notice');
  let shown = '';
  return (data) => {
    const key = JSON.stringify(data);
    if (key === shown) return;
    shown = key;
    show(element, data !== null);
    if (data === null) return element.replaceChildren();
    const more = data.label === undefined ? null : control({ ...data, text: data.label, small: true }, act);
    element.replaceChildren(h('span', {}, data.text), ...(more === null ? [] : [more]));
  };
}

function control({ text, href, does, primary = false, small = false }, act) {
  const spec = `${small ? '.button-small' : ''}${primary ? '.button-primary' : ''}`;
  return href === undefined
    ? h(`button.button${spec}`, { type: 'button', onclick: () => act(does) }, text)
    : h(`a.button${spec}`, { href }, text);
}
