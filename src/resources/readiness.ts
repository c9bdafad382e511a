import { statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { AuditReader } from '../audit/reader.ts';
import type { AuditWriter } from '../audit/writer.ts';
import type { Config } from '../config.ts';
import { createKeyBundleAge, type KeyBundleAge } from '../services/key-bundle-age.ts';
import { createReadiness } from '../services/readiness.ts';
import type { Database } from '../storage/database.ts';
import { bundleKeyParts } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { LogUpkeep } from './log-upkeep.ts';
import { now, type Purpose } from './purpose.ts';
import type { Tables } from './tables.ts';

/** Where room is wanted on this machine. */
export const roomOf = ({ dataDir: folder, freeDiskFloor: floorBytes }: Config) => ({
  folder,
  floorBytes,
  freeBytes: async (): Promise<number> => {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
});

/** A command makes none, and judges by what lies there. */
export const bundleAgeOf = (
  { keysExportMinutes }: Config,
  purpose: Purpose,
  objects: ObjectStore,
  { wrappedKeys }: Tables,
): KeyBundleAge =>
  createKeyBundleAge({
    ...{ objects, bundleKeyParts, wrappedKeys, now },
    everyMs: keysExportMinutes * 60_000,
    since: purpose === 'serve' ? now() : null,
  });

export const readinessOf = (
  config: Config,
  {
    audit,
    log,
    database,
    objects,
    keyRing,
    upkeep,
    bundleAge,
    logger,
  }: {
    audit: AuditWriter;
    log: AuditReader;
    database: Database;
    objects: ObjectStore;
    keyRing: { check(): Promise<void> };
    upkeep: LogUpkeep;
    bundleAge: KeyBundleAge;
    logger: Logger;
  },
) => {
  return createReadiness({
    now,
    checks: [
      { name: 'database', run: () => database.check() },
      {
        name: 'log',
        run: async () => {
          await audit.assertAppendable(0);
          await log.head();
        },
      },
      { name: 'objects', run: () => objects.check() },
      { name: 'keys', run: () => keyRing.check() },
      { name: 'verification', run: () => upkeep.nightly.fault(), advisory: true },
      { name: 'key_bundle', run: () => bundleAge.fault(), advisory: true },
    ],
    rooms: [roomOf(config)],
    tell: (ready, findings) => {
      const found = findings.filter(({ fault }) => fault !== null);
      if (!ready) logger.error({ ready, findings: found }, 'not ready');
      else if (found.length > 0) logger.error({ ready, findings: found }, 'ready, but something was found');
      else logger.info({ ready }, 'ready');
    },
  });
};
