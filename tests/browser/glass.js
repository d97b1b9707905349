/** Runs in gopcast's own page: reads the clock that a camera has drawn into each picture shown, as `tests/src/stamp.rs` draws it. */

globalThis.glass = async ({ settle, seconds }) => {
  const COLUMNS = 8;
  const ROWS = 4;
  const CELL = 8;
  const THRESHOLD = 126;
  /** The stamp holds this many bits of the milliseconds. */
  const CLOCK_BITS = 20;

  const video = document.querySelector('video');
  const canvas = new OffscreenCanvas(COLUMNS * CELL, (ROWS + 1) * CELL);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const report = { seen: [], unread: 0, stalls: 0, latency: [], target: [], buffer: [] };

  const crc8 = (body) => {
    let crc = 0xa5;
    for (const shift of [16, 8, 0]) {
      crc ^= (body >> shift) & 0xff;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : (crc << 1) & 0xff;
    }
    return crc;
  };
  const read = () => {
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let body = 0;
    let check = 0;
    for (let bit = 0; bit < COLUMNS * ROWS; bit += 1) {
      const [x, y] = [(bit % COLUMNS) * CELL + CELL / 2, Math.floor(bit / COLUMNS) * CELL + CELL / 2];
      const value = data[(y * canvas.width + x) * 4 + 1] > THRESHOLD ? 1 : 0;
      if (bit < 24) body = body * 2 + value;
      else check = check * 2 + value;
    }
    // The low four bits are the source's mark.
    return crc8(body) === check ? body >> 4 : null;
  };

  await new Promise((resolve) => { setTimeout(resolve, settle * 1000); });
  const before = globalThis.gopcast.stats().stalls;
  const end = performance.now() + seconds * 1000;
  let running = true;
  const each = (_, { expectedDisplayTime }) => {
    if (!running) return;
    const stamp = read();
    const shown = Math.round(performance.timeOrigin + expectedDisplayTime);
    if (stamp === null) report.unread += 1;
    else report.seen.push((((shown - stamp) % 2 ** CLOCK_BITS) + 2 ** CLOCK_BITS) % 2 ** CLOCK_BITS / 1000);
    video.requestVideoFrameCallback(each);
  };
  video.requestVideoFrameCallback(each);
  while (performance.now() < end) {
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
    const { latency, targetLatency, bufferSeconds } = globalThis.gopcast.stats();
    if (latency !== null) report.latency.push(latency);
    if (targetLatency !== null) report.target.push(targetLatency);
    report.buffer.push(bufferSeconds);
  }
  running = false;
  report.stalls = globalThis.gopcast.stats().stalls - before;
  return report;
};
