import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import { join } from 'node:path';
import type { Server as TlsServer } from 'node:tls';
import { pathToFileURL } from 'node:url';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { type App, buildApp } from './app.ts';
import { exitCodes } from './cli/exit-codes.ts';
import { say, sayError } from './cli/print.ts';
import type { Config } from './config.ts';
import { type TlsFiles, tlsRules } from './config-rules.ts';
import { type DoctorServer, openDoctorServer } from './http/doctor-server.ts';
import { openMetricsServer } from './http/metrics-server.ts';
import { observeCheckpoints } from './http/plugins/checkpoint-metrics.ts';
import { observeKeyBundles } from './http/plugins/key-bundle-metrics.ts';
import { createMetrics } from './http/plugins/metrics.ts';
import { observeRadar } from './http/plugins/radar-metrics.ts';
import { observeRecordings } from './http/plugins/recording-metrics.ts';
import { createLogger } from './logger.ts';
import { readyToStart } from './resources/before-start.ts';
import type { Checkpoints } from './resources/checkpoints.ts';
import { portError } from './resources/ports.ts';
import { openResources, type Resources } from './resources.ts';
import { version } from './version.ts';

/** The sweeper's rounds; each costs one indexed query when there is nothing to do. */
const SWEEP_INTERVAL_MS = 60_000;
/** How often per period it is looked whether a bundle of wrapped keys is due: every ten minutes for one a day. */
const KEY_EXPORT_LOOKS = 144;
/** Every object is compared with the rows at the start, while the vault works already, and then this often. */
const COMPARE_INTERVAL_MS = 6 * 60 * 60_000;
/** A shutdown that takes longer ends the process; everything acknowledged is on disk by then. */
const GRACE_MS = 30_000;
/** What is under way may end by itself until then; afterwards connections are cut, so that a slow listener holds nobody up. */
const DRAIN_MS = 8_000;

type Tls = { readonly cert: Buffer; readonly key: Buffer };

const readTls = ({ tls }: Config): Tls | null =>
  tls === null ? null : { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) };

/** What keeps the files from being used now, as at the start: they may have been replaced by anything. */
const tlsFaults = ({ certFile, keyFile }: TlsFiles): string[] => {
  const faults: string[] = [];
  tlsRules(certFile, keyFile, (variable, fault) => faults.push(`${variable} ${fault}`));
  return faults;
};

/** New certificates are taken up without a restart; a broken pair is refused with a line in the log and the old one stays. */
const watchTls = (config: Config, app: App, logger: Logger): (() => void) => {
  const { tls } = config;
  if (tls === null) return () => undefined;
  const server = app.server as unknown as Pick<TlsServer, 'setSecureContext'>;
  const reload = (): void => {
    const faults = tlsFaults(tls);
    try {
      if (faults.length === 0) server.setSecureContext({ ...readTls(config), minVersion: 'TLSv1.2' });
    } catch {
      faults.push('TLS_CERT_FILE and TLS_KEY_FILE changed while they were read');
    }
    if (faults.length === 0) logger.info('the TLS certificate was reloaded');
    else logger.error({ faults }, 'the new TLS certificate cannot be used; the old one stays');
  };
  for (const file of [tls.certFile, tls.keyFile])
    watchFile(file, { interval: 5_000, persistent: false }, reload);
  return () => {
    for (const file of [tls.certFile, tls.keyFile]) unwatchFile(file, reload);
  };
};

const startSweeper = ({ services }: Resources, config: Config, logger: Logger): (() => void) => {
  const graceMs = config.uploadGraceSeconds * 1000;
  const sweeping = setInterval(() => {
    services.sweep(graceMs).catch((error: unknown) => {
      logger.error({ err: error }, 'the sweeper could not finish; it tries again');
    });
  }, SWEEP_INTERVAL_MS);
  const stopped = new AbortController();
  const compare = async (): Promise<void> => {
    try {
      const { removed, tooMany } = await services.removeOrphans(graceMs, stopped.signal);
      if (removed > 0) logger.info({ removed }, 'objects that no recording answers for were removed');
      if (tooMany)
        logger.error('many objects have no row: is this an older database? none of them was removed');
    } catch (error) {
      if (!stopped.signal.aborted)
        logger.error({ err: error }, 'objects could not be compared with rows; it is tried again');
    }
    // From the end of one to the beginning of the next, so that there is never more than one.
    if (!stopped.signal.aborted) comparing = setTimeout(compare, COMPARE_INTERVAL_MS);
  };
  let comparing = setTimeout(compare, 0);
  return () => {
    clearInterval(sweeping);
    clearTimeout(comparing);
    stopped.abort();
  };
};

/**
 * Bundles of wrapped keys: looked after often, made seldom, and not at the start, when there is enough to do. One that is
 * under way when the vault closes is broken off, and nothing of it is seen.
 */
const startKeyExports = (resources: Resources, config: Config, logger: Logger): (() => Promise<void>) => {
  const everyMs = config.keysExportMinutes * 60_000;
  const stop = new AbortController();
  let running: Promise<void> | null = null;
  const look = async (): Promise<void> => {
    try {
      const made = await resources.services.exportKeys.whenDue(everyMs, stop.signal);
      if (made !== null) logger.info({ count: made.count }, 'the wrapped keys were exported');
    } catch (error) {
      if (!stop.signal.aborted) logger.error({ err: error }, 'the wrapped keys could not be exported');
    }
    running = null;
  };
  const timer = setInterval(() => {
    running ??= look();
  }, everyMs / KEY_EXPORT_LOOKS);
  return async () => {
    clearInterval(timer);
    stop.abort();
    await running;
  };
};

/** Where checkpoints of the access log are, and what they are worth there. */
const checkpointLine = ({ places, secondPlace }: Checkpoints): string => {
  const said = places.map(({ where, weakness }) => (weakness === null ? where : `${where} (${weakness})`));
  return secondPlace
    ? `checkpoints in ${said.join(' and ')}`
    : `checkpoints in ${said.join(' and ')}: no second place, so a database superuser could cut it unnoticed; see CHECKPOINT_DIR`;
};

/** Whether the nightly verification of the log is due is looked at this often; a vault that was off at night makes up for it. */
const VERIFY_LOOK_MS = 10 * 60_000;

const startNightly = ({ upkeep }: Resources, logger: Logger): (() => Promise<void>) => {
  const stop = new AbortController();
  let running: Promise<void> | null = null;
  const look = async (): Promise<void> => {
    try {
      const verdict = await upkeep.nightly.whenDue(stop.signal);
      if (verdict?.ok) logger.info({ size: verdict.size, root: verdict.root }, 'the access log was verified');
    } catch (error) {
      if (!stop.signal.aborted)
        logger.error({ err: error }, 'the access log could not be verified; it is tried again');
    }
    running = null;
  };
  const timer = setInterval(() => {
    running ??= look();
  }, VERIFY_LOOK_MS);
  return async () => {
    clearInterval(timer);
    stop.abort();
    await running;
  };
};

/** What a person reads at the start: what was made, what to back up, what to do next. */
const greeting = (
  config: Config,
  { opened, checkpoints }: Resources,
  {
    address,
    metricsServer,
    anybody,
  }: Pick<Served, 'address' | 'metricsServer'> & { readonly anybody: boolean },
): string[] => [
  `Callvault ${version} on ${address}${metricsServer === null ? '' : `, metrics on port ${metricsServer.port}`}`,
  `  data: ${config.dataDir} (${opened.embedded ? 'PostgreSQL of its own' : 'PostgreSQL from DATABASE_URL'}, ${config.s3 === null ? 'objects as files' : 'objects in S3'})`,
  `  keys: back up ${opened.rootKeyFile} and ${opened.keyringFolder}, apart from the data: without them every recording is lost`,
  `  access log: ${checkpointLine(checkpoints)}`,
  anybody
    ? '  in order: npx callvault doctor says what works, npx callvault verify re-derives the access log'
    : '  first admin: npx callvault admin-create --organisation "Region Example" --email you@example.org',
];

const listen = async (config: Config, resources: Resources, logger: Logger) => {
  const metrics = createMetrics(resources.services.readiness, resources.upkeep.nightly.status);
  observeCheckpoints(metrics.registry, resources.checkpoints.status);
  observeRadar(metrics.registry, resources.services);
  observeRecordings(metrics.registry, resources.services);
  observeKeyBundles(metrics.registry, resources.bundleAge.newest);
  const app = await buildApp({
    services: resources.services,
    accessTokens: {
      keys: resources.jwtKeys,
      issuer: resources.installationId,
      lifetimeSeconds: config.accessTokenSeconds,
      now: Date.now,
    },
    logger,
    metrics,
    limits: { maxUploadBytes: config.maxUploadBytes, requestsPerMinute: config.requestsPerMinute },
    trustedProxies: config.trustedProxies,
    tls: readTls(config),
  });
  const metricsServer =
    config.metricsPort === null ? null : await openMetricsServer(metrics, config.metricsPort);
  let doctor: DoctorServer | null = null;
  try {
    if (resources.socketDir !== null)
      doctor = await openDoctorServer(resources.examine, join(resources.socketDir, 'doctor.sock'));
    const heard = await app.listen({
      host: config.host,
      port: config.port,
      // The greeting says it in words; the log of a server that says nothing else keeps quiet.
      listenTextResolver: () => 'listening',
    });
    // Fastify does not know what the server it was given speaks.
    const address = config.tls === null ? heard : heard.replace(/^http:/, 'https:');
    return { app, address, metricsServer, doctor };
  } catch (error) {
    doctor?.close();
    metricsServer?.close();
    throw error;
  }
};

type Served = Awaited<ReturnType<typeof listen>>;

const drain = async ({ app: { server, close } }: Served): Promise<void> => {
  // Closing ends the connections that are idle at that moment; others become so when their answer is out.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  try {
    await close();
  } finally {
    clearInterval(idle);
    clearTimeout(cut);
  }
};

/** Closes in order, once, at a signal, an error nobody caught, or the loss of something without which nothing goes on. */
const closeGracefully = (
  served: Served,
  resources: Resources,
  logger: Logger,
  stop: () => Promise<void>,
): void => {
  let lost = false;
  let closing = false;
  const grace = closeWithGrace({ delay: GRACE_MS, logger: false }, async ({ err }) => {
    closing = true;
    if (err !== undefined) logger.fatal({ err }, 'ending after an unexpected error');
    const stopped = stop();
    served.metricsServer?.close();
    served.doctor?.close();
    try {
      await drain(served);
      await stopped;
    } finally {
      await resources.close();
    }
    logger.info('closed');
    // A supervisor that restarts what failed must see that this did.
    if (lost) process.exit(exitCodes.couldNotRun);
  });
  void resources.lost.then((what) => {
    // Closing ends the database too, and that is no loss.
    if (closing) return;
    lost = true;
    logger.fatal({ what }, 'the vault cannot go on');
    grace.close();
  });
};

/** Nobody comes in before what the last run left half-done has been completed or removed. */
const reconcileAndListen = async (config: Config, resources: Resources, logger: Logger): Promise<Served> => {
  await resources.services.sweep(resources.opened.alone ? 0 : config.uploadGraceSeconds * 1000);
  return listen(config, resources, logger);
};

/** settings and what they name → resources → reconcile → app → listen → graceful close. */
export const serve = async (): Promise<void> => {
  const config = await readyToStart(process.cwd());
  const logger = createLogger(config.logLevel);
  const resources = await openResources(config, 'serve', logger);
  const served = await reconcileAndListen(config, resources, logger).catch(async (error: unknown) => {
    await resources.close();
    throw portError(error, config);
  });
  const stopWatching = watchTls(config, served.app, logger);
  const stopSweeper = startSweeper(resources, config, logger);
  const stopKeyExports = startKeyExports(resources, config, logger);
  const stopNightly = startNightly(resources, logger);
  const stopWebhooks = resources.services.deliverWebhooks.start();
  resources.services.recordingFetches.start();
  // The last checkpoint is made when the resources close, behind the last entry.
  resources.checkpoints.start();
  closeGracefully(served, resources, logger, async () => {
    stopWatching();
    stopSweeper();
    await resources.services.recordingFetches.stop();
    await stopWebhooks();
    await stopKeyExports();
    await stopNightly();
  });
  await resources.announce(served.address, served.doctor?.path);
  for (const did of resources.opened.did) logger.info(did);
  const anybody = await resources.anybody();
  for (const line of greeting(config, resources, { ...served, anybody })) process.stdout.write(`${line}\n`);
};

/** What is written behind `npm start --` would be passed over, and another vault started than was meant. */
const startFromShell = async (args: readonly string[]): Promise<void> => {
  if (args.length === 0) return serve();
  say(
    'callvault: npm start takes no arguments: settings come from the environment and from .env, as in PORT=8081 npm start; commands are run with npx callvault.',
  );
  process.exitCode = exitCodes.usage;
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  startFromShell(process.argv.slice(2)).catch((error: unknown) => {
    sayError(error);
    process.exitCode = exitCodes.couldNotRun;
  });
