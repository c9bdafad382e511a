import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/**
 * The bound on memory needs flags that only the start of a process can set: a young generation of at most 8 MiB, and a full
 * collection when the old one has grown by half. Every way to start the vault has them.
 */
const FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=30'];

test.each([
  ['npm start', 'package.json', /"start": "node (.+) --require \.\/bin\/installed\.cjs src\/main\.ts"/],
  ['callvault', 'bin/callvault.js', /^#!\/usr\/bin\/env -S node (.+)\n/],
  ['callvault on an old Node', 'bin/callvault.js', /const NODE_FLAGS = \[(.+)\];/],
  ['the image', 'Dockerfile', /ENTRYPOINT \["node", (.+), "--disable-sigusr1"/],
])('%s', (_way, file, pattern) => {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  expect(pattern.exec(text)?.[1]?.match(/--[\w=-]+/g)).toEqual(FLAGS);
});
