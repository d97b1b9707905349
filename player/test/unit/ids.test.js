/** Addresses. */
import assert from 'node:assert/strict';
import test from 'node:test';
import * as ids from '../../src/core/ids.js';

const B = '018bcfe5-6801-7000-8000-000000000000';

test('watch addresses', () => {
  assert.deepEqual(ids.watchRoute('/watch/demo'), { mode: 'live', live: 'demo', broadcast: null });
  assert.deepEqual(ids.watchRoute('/watch/demo/'), { mode: 'live', live: 'demo', broadcast: null });
  assert.deepEqual(ids.watchRoute(`/watch/shoes-24/${B}`), { mode: 'replay', live: 'shoes-24', broadcast: B });
});

test('anything else is no watch address', () => {
  const bad = ['/', '/watch', '/watch/', '/watch/Demo', '/watch/-a', '/watch/a-', '/watch/a/b', `/watch/a/${B}/x`,
    '/watch/%2e%2e', '/live/demo', `/watch/a/${B.toUpperCase()}`, `/watch/${'a'.repeat(64)}`, '/watch/<b>'];
  for (const path of bad) assert.equal(ids.watchRoute(path), null, path);
});

test('only plain paths of this host may be manifests', () => {
  assert.equal(ids.localPath('/live/demo/manifest.mpd'), '/live/demo/manifest.mpd');
  for (const bad of ['//evil.example/x', 'https://evil.example/', '/a/../b', 'live/x', '/a b', '/a?b', '', null, 7, '/\\evil']) {
    assert.equal(ids.localPath(bad), null, String(bad));
  }
});

test('addresses are made of names', () => {
  assert.equal(ids.livePage('demo'), '/watch/demo');
  assert.equal(ids.replayPage('demo', B), `/watch/demo/${B}`);
  assert.equal(ids.liveIndex('demo'), '/live/demo/index.json');
  assert.equal(ids.liveManifest('demo'), '/live/demo/manifest.mpd');
  assert.equal(ids.broadcastManifest('demo', B), `/vod/demo/${B}/manifest.mpd`);
});

test('the embedded player has the addresses of the watch page', () => {
  const broadcast = '018bcfe5-6800-7000-8000-000000000000';
  assert.deepEqual(ids.watchRoute('/embed/shoes'), { mode: 'live', live: 'shoes', broadcast: null });
  assert.deepEqual(ids.watchRoute(`/embed/shoes/${broadcast}`), { mode: 'replay', live: 'shoes', broadcast });
  assert.equal(ids.watchRoute('/frame/shoes'), null);
});
