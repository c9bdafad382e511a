/**
 * `npm test`: every test that needs nothing but the checkout, and at the end one line that names those it did not run and
 * the command for each. Further arguments go to Vitest, whose exit code is this one's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const COULD_NOT_RUN = 3;
const root = join(import.meta.dirname, '..');

const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
const count = (pattern: RegExp): number => files.filter((name) => pattern.test(name)).length;

const projects = ['unit', 'contract', 'integration', 'acceptance'];
const child = spawn(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...projects.flatMap((name) => ['--project', name]),
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);
// Ctrl-C reaches Vitest by itself; this process waits for it to put away what it started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
const [code] = (await once(child, 'exit')) as [number | null];
process.exitCode = code ?? COULD_NOT_RUN;

process.stdout.write(
  `Not run here, for they need more than the checkout: ${[
    `${count(/\.host\.test\.ts$/)} test files with tools of the machine (npm run test:host)`,
    `${count(/\.s3\.test\.ts$/)} with an S3 server (npm run test:s3)`,
    `${count(/^browser\/.*\.test\.ts$/)} with Chromium (npm run test:browser).`,
  ].join(', ')}\n`,
);
