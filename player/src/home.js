/** The front page: what is on air, the latest replays, who is off air. Renders again only when something changed. */

import { LIVES_INDEX } from './core/ids.js';
import { latestReplays, parseLives } from './core/index-data.js';
import { fetchJson, NotFound } from './io/fetch.js';
import { poll } from './io/poll.js';
import { offAirCard, onAirCard, replayCard } from './ui/cards.js';
import { byId, h, setText, show } from './ui/dom.js';

/** How often to look, in milliseconds, while the page is seen. */
const POLL_MS = 5000;
/** Elapsed times are in minutes: render at least this often, in milliseconds. */
const REFRESH_MS = 30_000;
/** Most replays on the front page: more is on each live's own page. */
const REPLAYS_SHOWN = 12;

let lives = null;
let lost = false;
let shown = '';

const look = poll(
  async () => {
    try {
      lives = (await fetchJson(LIVES_INDEX, parseLives)).lives;
      lost = false;
    } catch (error) {
      // No list yet is an empty list; anything else is a loss, and what is shown stays.
      lost = !(error instanceof NotFound);
      if (!lost) lives = [];
    }
    render();
  },
  () => (document.visibilityState === 'visible' ? POLL_MS : null),
);
byId('retry').addEventListener('click', () => look.now());

function render() {
  const now = Date.now();
  show(byId('lost'), lost);
  const state = JSON.stringify([lives, lost, Math.floor(now / REFRESH_MS)]);
  if (state === shown) return;
  shown = state;
  const known = lives ?? [];
  const onAir = known.filter((entry) => entry.onAir).sort((a, b) => (b.started ?? 0) - (a.started ?? 0));
  const offAir = known.filter((entry) => !entry.onAir);
  const replays = latestReplays(known).slice(0, REPLAYS_SHOWN);
  show(byId('loading'), lives === null && !lost);
  show(byId('quiet'), lives !== null && onAir.length === 0);
  setText(
    byId('quiet-text'),
    replays.length > 0
      ? 'The next show appears here the moment it starts. Until then, watch one again.'
      : 'The next show appears here the moment it starts.',
  );
  section('on-air', onAir.map((entry) => onAirCard(entry, now)));
  byId('on-air-list').classList.toggle('is-few', onAir.length < 3);
  section('replays', replays.map((entry) => replayCard(entry.live, entry.title, entry, now)));
  section('off-air', offAir.map((entry) => offAirCard(entry, now)));
  const count = byId('count');
  count.replaceChildren(...(onAir.length > 0 ? [h('span.dot', { 'aria-hidden': 'true' }), `${onAir.length} on air`] : []));
  show(count, onAir.length > 0);
}

/** Fills a section's list and hides the section when there is nothing; the focused link stays focused. */
function section(name, items) {
  const list = byId(`${name}-list`);
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
  list.replaceChildren(...items);
  show(byId(name), items.length > 0);
  if (focused !== null) {
    for (const link of list.querySelectorAll('a')) if (link.getAttribute('href') === focused) link.focus({ preventScroll: true });
  }
}
