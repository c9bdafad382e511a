import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Readiness } from '../../services/readiness.ts';
import type { VerificationStatus } from '../../services/verify-nightly.ts';

export type Metrics = {
  readonly registry: Registry;
  readonly observe: (route: string, method: string, status: number, seconds: number) => void;
};

/** How far the nightly verification of the access log is, and what the last one of this process found. */
const verificationGauges = (registry: Registry, status: () => VerificationStatus): void => {
  const gauge = (name: string, help: string, value: (now: VerificationStatus) => number | undefined) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const found = value(status());
        // Nothing to say yet is no value at all, so that nobody takes nought for a fault.
        if (found === undefined) this.remove();
        else this.set(found);
      },
    });
  gauge(
    'callvault_log_verification_progress',
    'Share of the access log that the running verification has looked at; absent while none runs',
    ({ running }) => (running === null ? undefined : running.done / Math.max(running.of, 1)),
  );
  gauge(
    'callvault_log_verified',
    '1 when the last nightly verification of this process found nothing, else 0',
    ({ last }) => (last === null ? undefined : Number(last.ok)),
  );
  gauge(
    'callvault_log_verified_timestamp_seconds',
    'When the last nightly verification of this process ended',
    ({ last }) => (last === null ? undefined : last.at / 1000),
  );
  gauge(
    'callvault_log_verified_entries',
    'Entries that the last nightly verification of this process looked at',
    ({ last }) => last?.size,
  );
};

/** Counts by route pattern and status; labels never hold an id, a name or a number. */
export const createMetrics = (
  readiness: Pick<Readiness, 'current'>,
  verification?: () => VerificationStatus,
): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: 'callvault_http_requests_total',
    help: 'Answers by route, method and status',
    labelNames: ['route', 'method', 'status'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'callvault_http_request_seconds',
    help: 'Time from request to the end of its answer',
    labelNames: ['route'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    registers: [registry],
  });
  new Gauge({
    name: 'callvault_ready',
    help: '1 when the named part works, else 0',
    labelNames: ['part'],
    registers: [registry],
    async collect() {
      const { findings } = await readiness.current();
      for (const { name, fault } of findings) this.set({ part: name }, fault === null ? 1 : 0);
    },
  });
  if (verification !== undefined) verificationGauges(registry, verification);
  return {
    registry,
    observe(route, method, status, elapsed) {
      requests.inc({ route, method, status: String(status) });
      seconds.observe({ route }, elapsed);
    },
  };
};

/** Observes every answer of the main server. */
export const observeRequests = fp(
  async (app: FastifyInstance, { metrics }: { readonly metrics: Metrics }) => {
    app.addHook('onResponse', async (request, reply) => {
      const route = request.routeOptions.url ?? 'none';
      metrics.observe(route, request.method, reply.statusCode, reply.elapsedTime / 1000);
      request.log.debug({ req: request, res: reply, ms: Math.round(reply.elapsedTime) }, 'answered');
    });
  },
  { name: 'metrics' },
);
