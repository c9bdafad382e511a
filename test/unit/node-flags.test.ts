import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** The bound on memory needs a flag that only the start of a process can set: every way to start the vault has it. */
const FLAG = '--max-semi-space-size=8';

test.each([
  ['npm start', 'package.json', /"start": "node (\S+) src\/main\.ts"/],
  ['callvault', 'bin/callvault.js', /^#!\/usr\/bin\/env -S node (\S+)\n/],
  ['callvault on an old Node', 'bin/callvault.js', /const NODE_FLAGS = \['(\S+)'\];/],
  ['the image', 'Dockerfile', /ENTRYPOINT \["node", "([^"]+)"/],
])('%s', (_way, file, pattern) => {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  expect(pattern.exec(text)?.[1]).toBe(FLAG);
});
