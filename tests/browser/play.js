/** Runs in the page: plays one stream with one player at its default settings and reports what happened. */

globalThis.play = async ({ player, mpd, seconds, live, rate, patient }) => {
  /** Stops within this time after the first moving picture are the player finding its feet. */
  const SETTLE_S = 3;
  /** Between two looks at the playback position, in milliseconds. */
  const LOOK_MS = 100;
  /** Without motion for this long, playback has stopped, whatever the events say. */
  const STILL_S = 0.5;
  /** Longest wait for the first moving picture. */
  const STARTUP_S = 30;

  const video = document.getElementById('video');
  const errors = [];
  const stalls = [];
  const heights = [];
  const latencies = [];
  let latency = () => null;
  /** The storyboard's picture at a time, by the player's own means: {url, width, height}, or null. */
  let thumbnail = async () => null;
  const now = () => performance.now() / 1000;
  const loaded = now();

  const instance = await globalThis.openPlayer(player, video, mpd, errors);
  if (player === 'dashjs') {
    latency = () => (live ? instance.getCurrentLiveLatency() : null);
    thumbnail = (time) => new Promise((resolve) => {
      // Of a live stream it wants to know how far into the window.
      instance.provideThumbnail(live ? time - instance.getDvrWindow().start : time, resolve);
    });
  } else {
    latency = () => (live ? instance.getStats().liveLatency : null);
    thumbnail = async (time) => {
      const [track] = instance.getImageTracks();
      const found = track === undefined ? null : await instance.getThumbnails(track.id, time);
      return found && { url: found.uris[0], width: found.width, height: found.height };
    };
  }

  let first = null; // when the picture first moved, and where
  let ended = false;
  let last = { at: now(), position: video.currentTime };
  let still = null; // since when it does not move
  video.addEventListener('ended', () => { ended = true; });
  const close = (at) => {
    if (still && first && still.at - first.at > SETTLE_S) {
      stalls.push({ at: still.at - first.at, position: still.position, length: at - still.at });
    }
    still = null;
  };
  // The element says `waiting` when it has nothing to show, before any look at the position could tell.
  video.addEventListener('waiting', () => { if (first && !ended && !still) still = { at: now(), position: video.currentTime, waiting: true }; });
  video.addEventListener('playing', () => close(now()));

  for (;;) {
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
    const at = now();
    const position = video.currentTime;
    if (!first && video.videoWidth > 0 && position !== last.position && !video.seeking && !video.paused) {
      first = { at, position: last.position };
      video.playbackRate = rate;
    }
    if (video.videoHeight && heights.at(-1) !== video.videoHeight) heights.push(video.videoHeight);
    if (position !== last.position) {
      if (still && !still.waiting) close(at);
      last = { at, position };
    } else if (first && !ended && !still && at - last.at > STILL_S) {
      still = { at: last.at, position };
    }
    if (first && live && at - first.at >= latencies.length) {
      const behind = latency();
      if (Number.isFinite(behind)) latencies.push([at - first.at, behind]);
    }
    if (ended || (errors.length > 0 && !patient)) break;
    if (!first && at - loaded > STARTUP_S) { errors.push(`no moving picture within ${STARTUP_S} s`); break; }
    if (first && at - first.at >= seconds) break;
  }
  if (!ended) close(now());
  /** Told by the player, and loaded: how large it is in truth. */
  const lastPosition = video.currentTime;
  const preview = async () => {
    // Of a live stream some seconds back, which no player counts as too new.
    const told = await thumbnail(live ? lastPosition - 4 : lastPosition / 2);
    if (!told?.url) return null;
    const bitmap = await createImageBitmap(await (await fetch(told.url)).blob());
    return { url: told.url, width: told.width, height: told.height, loaded: [bitmap.width, bitmap.height] };
  };
  return {
    preview: first ? await preview().catch((error) => { errors.push(`preview: ${error.message}`); return null; }) : null,
    errors,
    stalls,
    heights,
    latencies,
    ended,
    startupMs: first ? (first.at - loaded) * 1000 : -1,
    firstPosition: first?.position ?? -1,
    lastPosition,
    watched: first ? now() - first.at : 0,
    duration: Number.isFinite(video.duration) && !live ? video.duration : null,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    dropped: video.getVideoPlaybackQuality().droppedVideoFrames,
    audioBytes: video.webkitAudioDecodedByteCount ?? 0,
    latency: latency(),
  };
};
