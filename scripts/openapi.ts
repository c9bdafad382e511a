import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AppDeps, buildApp } from '../src/app.ts';
import { createMetrics } from '../src/http/plugins/metrics.ts';
import { createLogger } from '../src/logger.ts';

/** Writes openapi.json from the routes' own schemas; with --check, fails when the committed one is stale. */
const path = join(import.meta.dirname, '../openapi.json');

/** Describing calls nothing; whatever tried to would stop here. */
const nothing = new Proxy(
  {},
  {
    get(_target, name) {
      return () => {
        throw new Error(`describing the interface must not call ${String(name)}`);
      };
    },
  },
);

const app = await buildApp({
  services: nothing as AppDeps['services'],
  accessTokens: {
    keys: nothing,
    issuer: 'describe',
    lifetimeSeconds: 300,
    now: Date.now,
  } as AppDeps['accessTokens'],
  logger: createLogger('silent'),
  metrics: createMetrics({ current: async () => ({ ready: true, findings: [] }) }),
  limits: { maxUploadBytes: 1, requestsPerMinute: 1 },
  trustedProxies: [],
  tls: null,
});
const text = `${JSON.stringify(app.swagger(), null, 2)}\n`;
await app.close();

if (process.argv.includes('--check')) {
  const committed = await readFile(path, 'utf8').catch(() => '');
  if (committed !== text) {
    process.stderr.write('openapi.json is stale: run npm run openapi and commit it.\n');
    process.exitCode = 1;
  }
} else await writeFile(path, text);
