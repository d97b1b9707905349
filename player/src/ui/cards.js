/** The cards of lives and replays. */

import { clock, day, elapsed, spokenDuration } from '../core/format.js';
import { livePage, replayPage } from '../core/ids.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import { pictures } from './poster.js';

/** A live that is on air. */
export function onAirCard(entry, now) {
  const since = elapsed(entry.started, now);
  return h(
    'li.card.card-live',
    {},
    h(
      'a.card-link',
      { href: livePage(entry.live) },
      h('span.card-picture', {}, ...pictures(entry.live, entry.poster, 'on-air', now), liveBadge(), playMark()),
      h(
        'span.card-text',
        {},
        h('span.card-title', {}, entry.title),
        h('span.card-line', {}, since === null ? 'On air' : `On air ${since}`),
      ),
    ),
  );
}

/** A live that is not on air. */
export function offAirCard(entry, now) {
  const last = entry.lastReplay;
  return h(
    'li.row',
    {},
    h(
      'a.row-link',
      { href: livePage(entry.live) },
      h('span.row-picture', {}, ...pictures(entry.live, last?.poster ?? null, 'off-air', now)),
      h(
        'span.row-text',
        {},
        h('span.card-title', {}, entry.title),
        h('span.card-line', {}, last === null ? 'Not on air yet' : `Last on air ${lower(day(last.started, now))}`),
      ),
    ),
  );
}

/** A replay. `title` is what it is a replay of; `current` marks the one being watched. */
export function replayCard(live, title, replay, now, current = false) {
  const when = day(replay.started, now);
  return h(
    current ? 'li.card.card-current' : 'li.card',
    {},
    h(
      'a.card-link',
      { href: replayPage(live, replay.broadcast), 'aria-current': current ? 'true' : null },
      h(
        'span.card-picture',
        {},
        ...pictures(replay.broadcast, replay.poster, 'replay', now),
        replay.seconds === null
          ? null
          : h(
              'span.duration',
              {},
              h('span', { 'aria-hidden': 'true' }, clock(replay.seconds)),
              h('span.sr', {}, `lasts ${spokenDuration(replay.seconds)}`),
            ),
        playMark(),
      ),
      h(
        'span.card-text',
        {},
        h('span.card-title', {}, title),
        h('span.card-line', {}, current ? `${when} · playing now` : when),
      ),
    ),
  );
}

/** The red label. */
export function liveBadge(text = 'Live') {
  return h('span.badge.badge-live', {}, h('span.dot', { 'aria-hidden': 'true' }), text);
}

function playMark() {
  return h('span.play-mark', { 'aria-hidden': 'true' }, icon('play'));
}

/** "Today, 20:15" in the middle of a sentence. */
function lower(text) {
  return /^(Today|Yesterday)/.test(text) ? text[0].toLowerCase() + text.slice(1) : text;
}
