/**
 * Does something again and again: one run at a time, the next one `wait()` milliseconds after the last
 * one ended, and at once when the page comes back to view or the network returns.
 */

/** `task` must not throw. `wait` gives milliseconds, or null to sleep until the page is seen again. */
export function poll(task, wait) {
  let timer = null;
  let running = false;
  let again = false;

  async function run() {
    if (running) {
      again = true;
      return;
    }
    clearTimeout(timer);
    running = true;
    try {
      do {
        again = false;
        await task();
      } while (again);
    } finally {
      running = false;
      schedule();
    }
  }

  function schedule() {
    clearTimeout(timer);
    const delay = wait();
    if (delay !== null && !running) timer = setTimeout(run, delay);
  }

  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') run();
    else schedule();
  });
  window.addEventListener('online', run);
  // A page restored from the back-forward cache is as old as when it was left.
  window.addEventListener('pageshow', (event) => event.persisted && run());
  run();
  return { now: run };
}
