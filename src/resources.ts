import { randomBytes } from 'node:crypto';
import { rmdir, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Logger } from 'pino';
import { createLogEvidence } from './audit/log-evidence.ts';
import { type AuditReader, createAuditReader } from './audit/reader.ts';
import { type AuditWriter, createAuditWriter } from './audit/writer.ts';
import { type Checkpoints, openCheckpoints } from './checkpoints.ts';
import type { Config } from './config.ts';
import type { S3Settings } from './config-rules.ts';
import type { PostgresSettings } from './core/postgres-settings.ts';
import { createFieldEncryption } from './crypto/field-encryption.ts';
import { createJwtKeys, type JwtKeys } from './crypto/jwt-keys.ts';
import { createKeyCache, type KeyCache } from './crypto/key-cache.ts';
import { createKeyRing } from './crypto/key-ring.ts';
import { INSTALLATION, wrongKey } from './crypto/key-store.ts';
import { createPasswords } from './crypto/passwords.ts';
import { createUploadSealing } from './crypto/upload-sealing.ts';
import { createWebhookSecrets } from './crypto/webhook-secrets.ts';
import { createOutboundPost } from './http/outbound-post.ts';
import { type KeyFolder, openKeyFolder } from './keys/key-folder.ts';
import { createLogUpkeep, type LogUpkeep } from './log-upkeep.ts';
import { unmuted } from './logger.ts';
import { createExamineVault, type ExamineVault } from './services/examine-vault.ts';
import { createKeyBundleAge, type KeyBundleAge } from './services/key-bundle-age.ts';
import { createReadiness } from './services/readiness.ts';
import { recordInstallation } from './services/record-installation.ts';
import { createServices, type Services } from './services/services.ts';
import { createAssignmentTable } from './storage/assignment-table.ts';
import { writeBundleFile } from './storage/bundle-file.ts';
import { createCallTable } from './storage/call-table.ts';
import { findInstance, openDataFolder, runningInstance } from './storage/data-folder.ts';
import { type Database, openDatabase } from './storage/database.ts';
import { withDatabaseFaults } from './storage/database-fault.ts';
import {
  attachEmbeddedDatabase,
  type EmbeddedDatabase,
  openEmbeddedDatabase,
} from './storage/embedded-database.ts';
import { createFileObjectStore } from './storage/file-object-store.ts';
import { assertFounded } from './storage/founded.ts';
import { fullDiskFault } from './storage/full-disk.ts';
import { createHoldTable } from './storage/hold-table.ts';
import { createInstallationTable, type Installation } from './storage/installation-table.ts';
import { createIntakeTable } from './storage/intake-table.ts';
import { ensureLoginRole } from './storage/login-role.ts';
import { migrate } from './storage/migrate.ts';
import { bundleKeyOf, bundleKeyParts, envelopeKeyOf, objectKeyOf, partKeyOf } from './storage/object-key.ts';
import type { ObjectStore } from './storage/object-store.ts';
import { createOrganisationTable } from './storage/organisation-table.ts';
import { createPendingChangeTable } from './storage/pending-change-table.ts';
import { createPlaybackTable } from './storage/playback-table.ts';
import { createRadarTable } from './storage/radar-table.ts';
import { createRecordingTable } from './storage/recording-table.ts';
import { createResumableUploadTable } from './storage/resumable-upload-table.ts';
import { createSessionCheck } from './storage/session-check.ts';
import { createSessionTable } from './storage/session-table.ts';
import { openSocketFolder } from './storage/socket-folder.ts';
import { createSourceTable } from './storage/source-table.ts';
import { createUnitTable } from './storage/unit-table.ts';
import { createUserTable } from './storage/user-table.ts';
import { createWebhookMessageTable } from './storage/webhook-message-table.ts';
import { createWebhookTable } from './storage/webhook-table.ts';
import { createWrappedKeyTable } from './storage/wrapped-key-table.ts';

/** What is open to the outside world, and everything that can be asked of it. */
export type Resources = {
  readonly services: Services;
  readonly audit: AuditWriter;
  readonly log: AuditReader;
  readonly jwtKeys: JwtKeys;
  readonly checkpoints: Checkpoints;
  readonly installationId: string;
  readonly upkeep: LogUpkeep;
  readonly verifyLog: LogUpkeep['verify'];
  /** What was found and done while opening, for the lines a person reads at the start. */
  readonly opened: {
    readonly embedded: boolean;
    /** What opening the database had to do, in sentences. */
    readonly did: readonly string[];
    readonly newInstallation: boolean;
    readonly rootKeyFile: string;
    readonly keyringFolder: string;
    /** True where no other process can be at work on the same data, so that nothing interrupted is still in flight. */
    readonly alone: boolean;
  };
  /** Whether anybody can sign in: there is an account, enabled or not. */
  anybody(): Promise<boolean>;
  /** Resolves when something without which the vault cannot go on has ended by itself. */
  readonly lost: Promise<string>;
  /** What works and what does not, by the settings that this process runs with. */
  readonly examine: ExamineVault;
  readonly bundleAge: KeyBundleAge;
  /** Owner-only folder for sockets of this process; null for a command beside a running vault. */
  readonly socketDir: string | null;
  /** Tells commands that come later where the vault answers: the world, and (a socket) its operator. */
  announce(url: string, doctor?: string): Promise<void>;
  close(): Promise<void>;
};

type Purpose = 'serve' | 'command';
/** Whether a new vault may be made where there is none. */
export type Founding = { readonly mayFound: boolean };

/** What services use of storage besides what is opened here: how things are named, and a file of somebody's own. */
const storageNames = { objectKeyOf, envelopeKeyOf, partKeyOf, bundleKeyOf, bundleKeyParts, writeBundleFile };

const now = (): number => Date.now();

/** Undone in reverse order, also when opening fails half-way. */
const createClosers = () => {
  const closers: (() => Promise<unknown>)[] = [];
  return {
    add: (close: () => Promise<unknown>): void => {
      closers.push(close);
    },
    async closeAll(): Promise<void> {
      for (const close of closers.splice(0).reverse()) await close().catch(() => undefined);
    },
  };
};
type Closers = ReturnType<typeof createClosers>;

type OpenedPostgres = {
  readonly settings: PostgresSettings;
  readonly embedded: EmbeddedDatabase | null;
  /** False beside a vault that runs on the same data folder. */
  readonly alone: boolean;
  /** Tells commands that come later where the vault answers; nothing for a command beside a running vault. */
  readonly announce: (url: string | null, doctor?: string) => Promise<void>;
  readonly socketDir: string | null;
};

/** Null where there can be none: the vault works without, and commands judge by their own settings. */
const ownSocketFolder = async (dataDir: string, closers: Closers): Promise<string | null> => {
  const path = await openSocketFolder(dataDir).catch(() => null);
  // Empty by then; one that is not in the data folder would be left lying about.
  if (path !== null && !path.startsWith(dataDir)) closers.add(() => rmdir(path));
  return path;
};

/** The database of DATABASE_URL, the embedded one, or the embedded one that a running vault has open already. */
const openPostgres = async (
  config: Config,
  purpose: Purpose,
  logger: Logger,
  closers: Closers,
): Promise<OpenedPostgres> => {
  const running = purpose === 'command' ? await findInstance(config.dataDir) : null;
  if (running !== null)
    return {
      settings: config.database ?? (await attachEmbeddedDatabase(config.dataDir, running.socketDir ?? '')),
      embedded: null,
      alone: false,
      announce: async () => undefined,
      socketDir: null,
    };
  const folder = await openDataFolder(config.dataDir);
  closers.add(() => folder.close());
  const embedded =
    config.database === null
      ? await openEmbeddedDatabase(folder, (line) =>
          logger.debug({ postgres: line.slice(0, 500) }, 'database'),
        )
      : null;
  if (embedded !== null) closers.add(() => embedded.stop());
  const startedAt = new Date().toISOString();
  const announce = (url: string | null, doctor: string | null = null): Promise<void> =>
    folder.announce({
      pid: process.pid,
      startedAt,
      command: purpose,
      url,
      socketDir: embedded?.socketDir ?? null,
      doctor,
    });
  await announce(null);
  return {
    settings: config.database ?? (embedded as EmbeddedDatabase).settings,
    embedded,
    alone: true,
    announce,
    socketDir:
      embedded?.socketDir ?? (purpose === 'serve' ? await ownSocketFolder(folder.path, closers) : null),
  };
};

/** Loaded where there is a bucket: the SDK takes 20 MB and a fifth of the start. */
const s3Store = () => import('./storage/s3-object-store.ts');
const s3Bucket = () => import('./storage/s3-bucket.ts');

const openObjects = async (config: Config): Promise<ObjectStore> => {
  if (config.s3 !== null) return (await s3Store()).createS3ObjectStore({ ...config.s3 });
  return createFileObjectStore({
    root: join(config.dataDir, 'objects'),
    freeBytesFloor: config.freeDiskFloor,
  });
};

/** Another vault's keys would open nothing that is here, and seal what nobody could open with the right ones later. */
const assertOwnKeys = ({ keysDir }: Config, folder: KeyFolder, known: Installation | null): void => {
  if (known === null || known.keyId === folder.keyId) return;
  throw wrongKey(
    `${keysDir} is not the key folder this database was made with: give this vault its own (KEYS_DIR), or restore it from its backup.`,
  );
};

const openKeys = async (config: Config, known: Installation | null) => {
  const newInstallation = known === null;
  const folder = await openKeyFolder({
    directory: config.keysDir,
    rootKeyFile: config.keyFile,
    create: newInstallation,
    now,
  });
  assertOwnKeys(config, folder, known);
  const keys = createKeyCache({ store: folder.store, now });
  const keyRing = createKeyRing({ keys, now });
  if (newInstallation) await keyRing.createOrganisationKeys(INSTALLATION);
  return {
    folder,
    keys,
    keyRing,
    fields: createFieldEncryption({ keys, now }),
    jwtKeys: await createJwtKeys({ keys }),
  };
};

const tablesOf = ({ prisma, keyed: pool, pool: planned }: Database) => ({
  recordings: withDatabaseFaults(createRecordingTable({ prisma, pool })),
  uploads: withDatabaseFaults(createResumableUploadTable(pool)),
  playbacks: withDatabaseFaults(createPlaybackTable({ prisma, pool })),
  holds: withDatabaseFaults(createHoldTable(prisma)),
  assignments: withDatabaseFaults(createAssignmentTable(prisma)),
  intake: withDatabaseFaults(createIntakeTable({ prisma, pool })),
  pendingChanges: withDatabaseFaults(createPendingChangeTable(prisma)),
  sessions: withDatabaseFaults(createSessionTable(prisma)),
  sessionCheck: withDatabaseFaults(createSessionCheck(pool)),
  users: withDatabaseFaults(createUserTable(prisma)),
  units: withDatabaseFaults(createUnitTable(prisma)),
  sources: withDatabaseFaults(createSourceTable(prisma)),
  organisations: withDatabaseFaults(createOrganisationTable(prisma)),
  wrappedKeys: withDatabaseFaults(createWrappedKeyTable(prisma)),
  calls: withDatabaseFaults(createCallTable(planned)),
  radar: withDatabaseFaults(createRadarTable(planned)),
  webhooks: withDatabaseFaults(createWebhookTable(prisma)),
  messages: withDatabaseFaults(createWebhookMessageTable(planned)),
});

/** Where room is wanted on this machine. */
const roomOf = ({ dataDir: folder, freeDiskFloor: floorBytes }: Config) => ({
  folder,
  floorBytes,
  freeBytes: async (): Promise<number> => {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
});

/** A command makes none, and judges by what lies there. */
const bundleAgeOf = (
  { keysExportMinutes }: Config,
  purpose: Purpose,
  objects: ObjectStore,
  { wrappedKeys }: ReturnType<typeof tablesOf>,
): KeyBundleAge =>
  createKeyBundleAge({
    ...{ objects, bundleKeyParts, wrappedKeys, now },
    everyMs: keysExportMinutes * 60_000,
    since: purpose === 'serve' ? now() : null,
  });

/** What services are told by the configuration, and what tells receivers, some of which may be inside. */
const settingsOf = (config: Config, keys: KeyCache) => {
  const allowed = new Set(config.webhookHosts);
  return {
    webhookSecrets: createWebhookSecrets({ keys }),
    webhookHosts: allowed,
    postMessage: createOutboundPost({ allowed }),
    radarGraceMs: config.radarGraceMinutes * 60_000,
    maxUploadBytes: config.maxUploadBytes,
    lifetimes: { userMs: config.sessionHours * 3_600_000, sourceMs: config.accessTokenSeconds * 1000 },
  };
};

const readinessOf = (
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
      { name: 'verification', run: () => upkeep.nightly.assertSound(), advisory: true },
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

/** The access log, read and written on connections of its own. */
const openLog = (postgres: PostgresSettings, purpose: Purpose, logger: Logger, closers: Closers) => {
  const log = createAuditReader({ postgres, log: logger });
  closers.add(() => log.close());
  const evidence = createLogEvidence({ postgres, log: logger });
  closers.add(() => evidence.close());
  const writer = `${purpose}-${hostname()
    .toLowerCase()
    .replace(/[^a-z0-9-]/g, '-')
    .slice(0, 30)}-${process.pid}`;
  const audit = createAuditWriter({ postgres, writer, randomBytes, log: logger, headLog: unmuted(logger) });
  closers.add(() => audit.close());
  return { log, audit, evidence };
};

const foundIn = (
  config: Config,
  { embedded }: OpenedPostgres,
  { rootKeyFile, keyringFolder }: KeyFolder,
  known: Installation | null,
): Resources['opened'] => ({
  embedded: config.database === null,
  did: [...(embedded?.did ?? []), ...otherName(config, known)],
  newInstallation: known === null,
  rootKeyFile,
  keyringFolder,
  alone: embedded !== null,
});

/** The name is given once; a setting that says another is told, for nothing follows from it. */
const otherName = ({ installationName }: Config, known: Installation | null): readonly string[] =>
  known === null || known.name === installationName
    ? []
    : [
        `This installation is called ${known.name} since it was made; INSTALLATION_NAME (${installationName}) does not rename it.`,
      ];

const lossOf = async ({ embedded }: OpenedPostgres): Promise<string> => {
  await (embedded === null ? new Promise(() => undefined) : embedded.exited);
  return 'the embedded PostgreSQL ended';
};

const openAll = async (
  config: Config,
  purpose: Purpose,
  logger: Logger,
  { closers, mayFound }: Founding & { readonly closers: Closers },
): Promise<Resources> => {
  if (!mayFound) await assertFounded(config);
  // First of all, so that a start that cannot succeed makes nothing. Commands may be about what needs no object.
  if (config.s3 !== null && purpose === 'serve') await (await s3Bucket()).assertS3Bucket(config.s3);
  const postgres = await openPostgres(config, purpose, logger, closers);
  const database = await openDatabase(postgres.settings);
  closers.add(() => database.close());
  const installation = createInstallationTable(database.prisma);
  const known = await installation.find();
  const { folder: keyFolder, keys, keyRing, fields, jwtKeys } = await openKeys(config, known);
  const { log, audit, evidence } = openLog(postgres.settings, purpose, logger, closers);
  const { id: installationId } =
    known ?? (await installation.create(config.installationName, keyFolder.keyId));
  const shared = { config, purpose, postgres: postgres.settings, logger };
  const checkpoints = await openCheckpoints({ ...shared, installationId, keys, audit, log });
  // What a command alone has appended waits for no vault to start.
  closers.add(() => checkpoints.close({ lastRound: purpose === 'command' && postgres.alone }));
  // At every start, for the last one may have been killed in between. A command leaves it to that.
  if (known === null || purpose === 'serve')
    await recordInstallation(
      { audit, log, now },
      { id: installationId, schema: await installation.schema() },
    );
  const objects = await openObjects(config);
  closers.add(() => objects.close());
  const tables = tablesOf(database);
  const passwords = await createPasswords();
  const upkeep = createLogUpkeep({ ...shared, ...tables, audit, log, checkpoints, passwords, now });
  const bundleAge = bundleAgeOf(config, purpose, objects, tables);
  const judged = { audit, log, database, objects, keyRing, upkeep, bundleAge, logger };
  const readiness = readinessOf(config, judged);
  const services = createServices({
    audit,
    log,
    evidence,
    checkpointNow: () => checkpoints.round(),
    keyRing,
    fields,
    uploadSealing: createUploadSealing({ keys }),
    passwords,
    objects,
    ...storageNames,
    installationId,
    tables,
    readiness,
    ...settingsOf(config, keys),
    alarm: (fields) => logger.error(fields, 'ALARM: a stored recording did not verify'),
    now,
  });
  closers.add(() => services.closeIdentity());
  return {
    services,
    audit,
    log,
    jwtKeys,
    checkpoints,
    installationId,
    upkeep,
    verifyLog: upkeep.verify,
    opened: foundIn(config, postgres, keyFolder, known),
    anybody: () => tables.users.any(),
    lost: lossOf(postgres),
    examine: createExamineVault({ readiness, checkpoints, room: roomOf(config) }),
    bundleAge,
    socketDir: postgres.socketDir,
    announce: postgres.announce,
    close: () => closers.closeAll(),
  };
};

/** Everywhere this vault writes on this machine. */
const foldersOf = ({ dataDir, keysDir, checkpointDir }: Config): readonly string[] =>
  [dataDir, keysDir, checkpointDir].filter((folder) => folder !== null);

/**
 * Opens database, log, keys and objects as `config` says; a command attaches to the vault that runs on the same data folder,
 * or opens the embedded database itself when none runs. Throws what is wrong in a sentence; nothing stays open then.
 * Where nobody may found a vault and there is none, nothing is made.
 */
export const openResources = async (
  config: Config,
  purpose: Purpose,
  logger: Logger,
  { mayFound }: Founding = { mayFound: true },
): Promise<Resources> => {
  const closers = createClosers();
  try {
    return await openAll(config, purpose, logger, { closers, mayFound });
  } catch (error) {
    await closers.closeAll();
    throw await fullDiskFault(error, foldersOf(config));
  }
};

/** The vault that serves on this data folder now, as it announced itself; null when there is none. */
export const runningVault = runningInstance;

/** `callvault migrate`: schema first, then who may log in. Returns in sentences what was done. */
export const migrateDatabase = async (
  owner: PostgresSettings,
  application: PostgresSettings,
  retention: PostgresSettings | null,
): Promise<readonly string[]> => {
  const { applied } = await migrate(owner);
  const client = new pg.Client(owner);
  await client.connect();
  try {
    const admitted = [
      ...(await ensureLoginRole(client, application)),
      ...(retention === null ? [] : await ensureLoginRole(client, retention, { kind: 'retention' })),
    ];
    const schema =
      applied.length === 0 ? ['The schema is of this release.'] : applied.map((name) => `Applied ${name}.`);
    return [...schema, ...admitted];
  } finally {
    await client.end();
  }
};

/** `callvault migrate`: the bucket. Returns in a sentence what was done. */
export const prepareBucket = async (s3: S3Settings): Promise<string> =>
  (await (await s3Bucket()).ensureS3Bucket(s3))
    ? `Made the bucket ${s3.bucket}.`
    : `The bucket ${s3.bucket} is there.`;
