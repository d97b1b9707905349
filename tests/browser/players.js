/**
 * Runs in the page: opens a stream with a player at its default settings. What goes wrong, now or later, is added to `errors`. `prepare` is given
 * the player before it loads anything.
 */

globalThis.openPlayer = async (name, video, url, errors, prepare = () => {}) => {
  video.addEventListener('error', () => errors.push(`video element: ${video.error?.message || video.error?.code}`));
  const start = () => video.play().catch((error) => errors.push(`play: ${error.message}`));
  const openers = {
    dashjs() {
      const player = globalThis.dashjs.MediaPlayer().create();
      player.on('error', (event) => errors.push(`dash.js ${event.error?.code}: ${event.error?.message}`));
      player.initialize(video, url, true);
      prepare(player);
      return player;
    },
    async shaka() {
      const { shaka } = globalThis;
      shaka.polyfill.installAll();
      const player = new shaka.Player();
      player.addEventListener('error', ({ detail }) => errors.push(`shaka ${detail.code}: ${JSON.stringify(detail.data)}`));
      prepare(player);
      await player.attach(video);
      await player.load(url).catch((error) => errors.push(`shaka load ${error.code}: ${JSON.stringify(error.data)}`));
      await start();
      return player;
    },
    async hlsjs() {
      const { Hls } = globalThis;
      const player = new Hls();
      player.on(Hls.Events.ERROR, (_, data) => {
        // What is not fatal it recovers from by itself; a stop is counted as one.
        if (data.fatal) errors.push(`hls.js ${data.type}: ${data.details}`);
      });
      prepare(player);
      player.loadSource(url);
      player.attachMedia(video);
      await start();
      return player;
    },
  };
  return openers[name]();
};
