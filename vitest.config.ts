import { defineConfig } from 'vitest/config';

/**
 * One project per ring. `*.s3.test.ts` need a real S3 server and run by `npm run test:s3` only; `browser` needs Chromium and
 * runs by `npm run test:browser`.
 */
const ring = (name: string, include: string[], exclude: string[] = []) => ({
  test: {
    name,
    include,
    exclude: ['**/node_modules/**', ...exclude],
    environment: 'node' as const,
    // Real databases, real servers, real fsync, on machines with two cores.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});

export default defineConfig({
  test: {
    projects: [
      ring('unit', ['test/unit/**/*.test.ts']),
      ring('contract', ['test/contract/**/*.test.ts'], ['**/*.s3.test.ts']),
      ring('integration', ['test/integration/**/*.test.ts'], ['**/*.s3.test.ts']),
      ring('acceptance', ['test/acceptance/**/*.test.ts'], ['**/*.s3.test.ts']),
      ring('s3', ['test/**/*.s3.test.ts']),
      ring('browser', ['test/browser/**/*.test.ts']),
    ],
  },
});
