/** The panel with the numbers of what is on air; updated only while it is open. */

import { bitRate, resolution, rungName, seconds, UNKNOWN } from '../core/format.js';
import { byId, h, setText, show } from './dom.js';
import { icon } from './icons.js';

const ROWS = [
  ['latency', 'Latency', (s) => (s.latency === null ? 'replay' : `${seconds(s.latency)} (aims at ${seconds(s.targetLatency)})`)],
  ['rung', 'Rung', (s) => (s.rung === null ? UNKNOWN : `${rungName(s.rung)} · ${resolution(s.rung)}`)],
  ['rate', 'Bit rate', (s) => bitRate(s.rung?.bandwidth)],
  ['buffer', 'Buffer', (s) => seconds(s.bufferSeconds)],
  ['dropped', 'Dropped frames', (s) => `${s.droppedFrames} of ${s.totalFrames}`],
  ['stalls', 'Stalls', (s) => (s.stalls === 0 ? 'none' : `${s.stalls} (${seconds(s.stallSeconds)})`)],
  ['errors', 'Errors', (s) => (s.errors === 0 ? 'none' : String(s.errors))],
  ['broadcast', 'Broadcast', (s) => s.broadcast ?? UNKNOWN],
];

export class StatsPanel {
  /** `stats()` gives the numbers. */
  constructor(stats) {
    this.stats = stats;
    this.panel = byId('stats');
    this.button = byId('stats-button');
    this.cells = new Map();
    byId('stats-list').append(
      ...ROWS.map(([id, name]) => {
        const cell = h('dd');
        this.cells.set(id, cell);
        return h('div', {}, h('dt', {}, name), cell);
      }),
    );
    this.button.append(icon('stats'));
    this.button.addEventListener('click', () => this.toggle());
    const close = byId('stats-close');
    close.append(icon('close'));
    close.addEventListener('click', () => {
      this.toggle(false);
      this.button.focus();
    });
  }

  toggle(open = this.panel.hidden) {
    show(this.panel, open);
    this.button.setAttribute('aria-expanded', String(open));
    this.render();
  }

  render() {
    if (this.panel.hidden) return;
    const stats = this.stats();
    for (const [id, , text] of ROWS) setText(this.cells.get(id), text(stats));
  }
}
