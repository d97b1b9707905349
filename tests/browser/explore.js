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

  video.addEventListener('error', () => errors.push(`video element: ${video.error?.message || video.error?.code}`));
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

  const openers = {
    dashjs(url, scheme) {
      const dash = globalThis.dashjs.MediaPlayer().create();
      dash.on('error', (event) => errors.push(`dash.js ${event.error?.code}: ${event.error?.message}`));
      dash.initialize(video, url, true);
      dash.on(scheme, ({ event }) => events.push({ start: event.calculatedPresentationTime, at: video.currentTime, data: event.messageData }));
    },
    async shaka(url, scheme) {
      const { shaka } = globalThis;
      shaka.polyfill.installAll();
      const player = new shaka.Player();
      player.addEventListener('error', ({ detail }) => errors.push(`shaka ${detail.code}: ${JSON.stringify(detail.data)}`));
      player.addEventListener('timelineregionenter', ({ detail }) => {
        if (detail.schemeIdUri === scheme) {
          events.push({ start: detail.startTime, at: video.currentTime, data: text(detail.eventNode?.attributes?.messageData) });
        }
      });
      await player.attach(video);
      await player.load(url).catch((error) => errors.push(`shaka load ${error.code}: ${JSON.stringify(error.data)}`));
      await video.play().catch((error) => errors.push(`play: ${error.message}`));
    },
    async hlsjs(url) {
      const { Hls } = globalThis;
      const hls = new Hls();
      hls.on(Hls.Events.ERROR, (_, data) => {
        // What is not fatal it recovers from by itself; a stop is counted as one.
        if (data.fatal) errors.push(`hls.js ${data.type}: ${data.details}`);
      });
      hls.loadSource(url);
      hls.attachMedia(video);
      await video.play().catch((error) => errors.push(`play: ${error.message}`));
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
      await openers[player](url, scheme);
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
