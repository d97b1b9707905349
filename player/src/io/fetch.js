/** Reading from this host: one request with a deadline, and what its outcome means. */

/** Longest wait for an answer, in milliseconds: objects are small, so longer means the network is gone. */
const DEADLINE_MS = 8000;

/** The object is not there (404, or 403 from a bucket that may not be listed). */
export class NotFound extends Error {}
/** It could not be had: network, deadline or server. */
export class Unreachable extends Error {}

/** The text at `path`. Throws `NotFound` or `Unreachable`. `signal` ends it early. */
export async function fetchText(path, signal) {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const stop = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
  try {
    // Revalidate always: these objects change under a constant name.
    const response = await fetch(path, { cache: 'no-cache', credentials: 'omit', signal: stop });
    if (response.status === 404 || response.status === 403) throw new NotFound(`nothing at ${path}`);
    if (!response.ok) throw new Unreachable(`status ${response.status} for ${path}`);
    return await response.text();
  } catch (error) {
    if (error instanceof NotFound || error instanceof Unreachable) throw error;
    throw new Unreachable(`no answer for ${path}`, { cause: error });
  }
}

/** The JSON value at `path`. Throws `NotFound`, `Unreachable`, or what `parse` throws. */
export async function fetchJson(path, parse) {
  const text = await fetchText(path);
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Unreachable(`no JSON at ${path}`, { cause: error });
  }
  return parse(value);
}
