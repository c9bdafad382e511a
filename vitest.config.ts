import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/**
 * One project per ring. The rings need nothing but the checkout. What needs more has a name and a command of its own:
 * `*.host.test.ts` tools of the machine (`npm run test:host`), `*.s3.test.ts` a real S3 server (`npm run test:s3`),
 * `browser` Chromium (`npm run test:browser`).
 */
const project = (name: string, include: string[], exclude: string[] = []) => ({
  test: {
    name,
    include,
    exclude: ['**/node_modules/**', ...exclude],
    environment: 'node' as const,
    // Vaults are started by the hundred; what Node made of their sources is kept between them.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/node-compile') },
    // Real databases, real servers, real fsync, on machines with two cores, and some of them slow: a limit is there to end
    // a test that hangs, and what is waited for ends the wait.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
const ring = (name: string) =>
  project(name, [`test/${name}/**/*.test.ts`], ['**/*.s3.test.ts', '**/*.host.test.ts']);

export default defineConfig({
  test: {
    // Most files wait for disks, lockouts and restarts, not for a core; Vitest's own choice is one worker less than cores.
    maxWorkers: 2 * availableParallelism(),
    projects: [
      ring('unit'),
      ring('contract'),
      ring('integration'),
      ring('acceptance'),
      project('host', ['test/**/*.host.test.ts']),
      project('s3', ['test/**/*.s3.test.ts']),
      project('browser', ['test/browser/**/*.test.ts']),
    ],
  },
});
