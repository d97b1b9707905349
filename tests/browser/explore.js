/**
 * Runs in the page: one player at its default settings, to be moved about from outside. `open` loads a stream, `look` says where it is,
 * `seek` goes somewhere and says how long the picture took to move there.
 */

globalThis.explore = (() => {
  /** Between two looks at the playback position, in milliseconds. */
  const LOOK_MS = 50;
  /** A position that grows by this much is playback, in seconds: some pictures. */
  const MOVES_S = 0.3;

  const video = document.getElementById('video');
  const errors = [];
  const heights = [];
  const events = [];
  let stalled = 0; // seconds, since the last `look`
  let waiting = null;
  const now = () => performance.now() / 1000;
  const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  let seeking = false;

  video.addEventListener('waiting', () => { if (!seeking) waiting ??= now(); });
  video.addEventListener('playing', () => {
    if (waiting !== null) stalled += now() - waiting;
    waiting = null;
  });
  setInterval(() => {
    if (video.videoHeight && heights.at(-1) !== video.videoHeight) heights.push(video.videoHeight);
  }, LOOK_MS);

  /** shaka-player (5.2) gives attributes as they are written, with XML's entities. */
  const text = (written) => (written === undefined ? null : new DOMParser().parseFromString(written, 'text/html').documentElement.textContent);

  /** What notes the timed events of a scheme; hls.js tells of none. */
  const listeners = {
    dashjs: (scheme) => (dash) => {
      dash.on(scheme, ({ event }) => events.push({ start: event.calculatedPresentationTime, at: video.currentTime, data: event.messageData }));
    },
    shaka: (scheme) => (shaka) => {
      shaka.addEventListener('timelineregionenter', ({ detail }) => {
        if (detail.schemeIdUri === scheme) {
          events.push({ start: detail.startTime, at: video.currentTime, data: text(detail.eventNode?.attributes?.messageData) });
        }
      });
    },
  };

  /** Waits until playback moves; how long that took in seconds, or null. */
  async function moving(limit) {
    const began = now();
    let from = null;
    for (;;) {
      await sleep(LOOK_MS);
      if (!video.seeking && !video.paused && video.videoWidth > 0) {
        from ??= video.currentTime;
        if (video.currentTime > from + MOVES_S) return now() - began;
      }
      if (now() - began > limit) return null;
    }
  }

  const range = () => {
    const { seekable } = video;
    return seekable.length ? [seekable.start(0), seekable.end(seekable.length - 1)] : [0, 0];
  };

  return {
    async open(player, url, scheme, limit) {
      await globalThis.openPlayer(player, video, url, errors, listeners[player]?.(scheme));
      return moving(limit);
    },
    async seek(to, limit) {
      seeking = true;
      video.currentTime = to;
      const took = await moving(limit);
      seeking = false;
      waiting = null;
      return { to, took, at: video.currentTime };
    },
    look() {
      const seen = { position: video.currentTime, range: range(), stalled: stalled + (waiting === null ? 0 : now() - waiting), height: video.videoHeight };
      stalled = 0;
      return seen;
    },
    report: () => ({ errors, heights, events }),
  };
})();
