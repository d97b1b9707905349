/**
 * Builds the pages into dist/: `index.html`, `watch.html` and `embed.html` by name, everything they load under
 * `assets/` with a hash of its content in its name, so that assets may be cached for ever and pages not
 * at all. The same sources always give the same bytes.
 */

import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = dirname(fileURLToPath(import.meta.url));
const DIST = join(ROOT, 'dist');
/** Where the files are served. */
const BASE = '/player/';
const PAGES = ['index.html', 'watch.html', 'embed.html'];
/** Parts that pages share. */
const PARTS = ['brand', 'stage', 'help'];
/** The dash.js build without the parts that are not used here: Smooth Streaming, DRM, metrics reporting. */
const DASH = join(ROOT, 'node_modules/dashjs/dist/modern/esm/dash.mediaplayer.min.js');
/** Licences of what is shipped inside the bundles. */
const LICENCES = [
  ['dash.js', 'node_modules/dashjs/LICENSE.md'],
  ['dash.js, parts', 'node_modules/dashjs/dist/modern/esm/dash.mediaplayer.min.js.LICENSE.txt'],
  ['Inter', 'node_modules/@fontsource-variable/inter/LICENSE'],
];

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });

const { metafile } = await build({
  absWorkingDir: ROOT,
  entryPoints: ['src/home.js', 'src/watch.js', 'src/styles/app.css'],
  outdir: 'dist',
  entryNames: 'assets/[name]-[hash]',
  chunkNames: 'assets/[name]-[hash]',
  assetNames: 'assets/[name]-[hash]',
  publicPath: BASE,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['chrome116', 'firefox124', 'safari17.4'],
  alias: { dashjs: DASH },
  loader: { '.woff2': 'file' },
  minify: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});

/** Served address of the output made from a source file. */
const served = new Map(
  Object.entries(metafile.outputs)
    .filter(([, output]) => output.entryPoint !== undefined)
    .map(([path, output]) => [relative('src', output.entryPoint), BASE + relative('dist', path)]),
);

const parts = new Map();
for (const name of PARTS) parts.set(name, (await readFile(join(ROOT, `src/pages/${name}.html`), 'utf8')).trim());
for (const page of PAGES) {
  const source = await readFile(join(ROOT, 'src/pages', page), 'utf8');
  const html = source.replace(/\{\{(.+?)\}\}/g, (_, name) => {
    const value = parts.get(name) ?? served.get(name);
    if (value === undefined) throw new Error(`${page} asks for ${name}, which is not built`);
    return value;
  });
  await writeFile(join(DIST, page), html);
}
await copyFile(join(ROOT, 'static/favicon.svg'), join(DIST, 'favicon.svg'));
const licences = await Promise.all(
  LICENCES.map(async ([name, path]) => `${name}\n${'='.repeat(name.length)}\n\n${(await readFile(join(ROOT, path), 'utf8')).trim()}\n`),
);
await writeFile(join(DIST, 'licences.txt'), licences.join('\n\n'));

for (const [path, output] of Object.entries(metafile.outputs).sort()) {
  console.log(`${String(output.bytes).padStart(8)}  ${path}`);
}
