/**
 * Counts the times playback stopped for want of data. Time is an input, in seconds from any origin.
 * A wait before the first frame, after a seek or while paused is not a stall.
 */
export class StallMeter {
  #started = false;
  #seeking = false;
  #since = null;
  #count = 0;
  #seconds = 0;

  /** The element waits for data. */
  waiting(now, paused) {
    if (!this.#started || this.#seeking || paused || this.#since !== null) return;
    this.#since = now;
    this.#count += 1;
  }

  /** A frame is being shown. */
  progressing(now) {
    this.#started = true;
    this.#seeking = false;
    this.#close(now);
  }

  /** The viewer, or a switch, moved the playhead. */
  seeking(now) {
    this.#seeking = true;
    this.#close(now);
  }

  /** Playback was paused or is over. */
  stopped(now) {
    this.#close(now);
  }

  /** Another stream is loaded: its first wait is not a stall. Counts are kept. */
  reloaded(now) {
    this.#close(now);
    this.#started = false;
    this.#seeking = false;
  }

  /** Whether playback stands still now. */
  get stalled() {
    return this.#since !== null;
  }

  /** Seconds of the stall that is going on, or 0. */
  standing(now) {
    return this.#since === null ? 0 : Math.max(0, now - this.#since);
  }

  /** `{stalls, stallSeconds}` up to `now`. */
  totals(now) {
    return { stalls: this.#count, stallSeconds: this.#seconds + this.standing(now) };
  }

  #close(now) {
    if (this.#since === null) return;
    this.#seconds += Math.max(0, now - this.#since);
    this.#since = null;
  }
}
