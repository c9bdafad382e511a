import diagnostics from 'node:diagnostics_channel';
import type { FastifyInstance } from 'fastify';
import { type App, buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createMetrics } from '../../src/http/plugins/metrics.ts';
import type { RouteAccess } from '../../src/http/route-access.ts';
import { createLogger } from '../../src/logger.ts';
import { openResources, type Resources } from '../../src/resources.ts';
import { type AdminCreate, ROOMY } from './scene.ts';
import { newVaultFolder } from './vault.ts';

export type FoundRoute = {
  readonly method: string;
  readonly url: string;
  readonly access: RouteAccess | undefined;
};

/** Does something to the next application that is built in this process, before any of its own code does. */
export const withNextApp = async <T>(
  first: (app: FastifyInstance) => void,
  build: () => Promise<T>,
): Promise<T> => {
  const listener = (message: unknown): void => first((message as { fastify: FastifyInstance }).fastify);
  diagnostics.subscribe('fastify.initialization', listener);
  try {
    return await build();
  } finally {
    diagnostics.unsubscribe('fastify.initialization', listener);
  }
};

const appOn = (resources: Resources): Promise<App> => {
  const logger = createLogger('silent');
  return buildApp({
    services: resources.services,
    accessTokens: { keys: resources.jwtKeys, issuer: resources.installationId, now: Date.now },
    logger,
    metrics: createMetrics(resources.services.readiness),
    limits: { maxUploadBytes: 2 ** 30, requestsPerMinute: 1e6 },
    trustedProxies: [],
    tls: null,
  });
};

/**
 * The vault within this process, on an embedded database and files of its own, serving on loopback: for tests that must
 * know what is registered. `routes` is everything that anybody registered, from the very beginning on.
 */
export const startInProcess = async ({ checkpoint = true }: { readonly checkpoint?: boolean } = {}) => {
  const folder = await newVaultFolder(ROOMY);
  const resources = await openResources(readConfig(folder.env), 'serve', createLogger('silent'));
  const routes: FoundRoute[] = [];
  const collect = (app: FastifyInstance): void => {
    app.addHook('onRoute', ({ method, url, config }) => {
      for (const one of [method].flat()) routes.push({ method: one, url, access: config?.access });
    });
  };
  const app = await withNextApp(collect, () => appOn(resources));
  const url = await app.listen({ host: '127.0.0.1', port: 0, listenTextResolver: () => 'listening' });
  await resources.announce(url);
  // Nobody starts the rounds here.
  if (checkpoint) await resources.checkpoints.round();
  const adminCreate: AdminCreate = async (email, organisation) => {
    const asked = { email, displayName: 'Administrator', ...(organisation === null ? {} : { organisation }) };
    const made = await resources.services.createFirstAdmin(asked);
    return { userId: made.userId, password: made.initialPassword, organisation: made.organisationId };
  };
  return {
    url,
    routes,
    folder,
    checkpoint: () => resources.checkpoints.round(),
    logKey: resources.checkpoints.logKey,
    adminCreate,
    /** Another application on the same resources, to which `first` is done before anything else. */
    buildAnother: (first: (app: FastifyInstance) => void) => withNextApp(first, () => appOn(resources)),
    async close() {
      await app.close();
      await resources.close();
      await folder.remove();
    },
  };
};

export type InProcessVault = Awaited<ReturnType<typeof startInProcess>>;
