import type { Logger } from 'pino';
import type { AuditReader } from './audit/reader.ts';
import type { AuditWriter } from './audit/writer.ts';
import type { Config } from './config.ts';
import { TWILIO_HOST } from './core/recording-callback.ts';
import type { JwtKeys } from './crypto/jwt-keys.ts';
import type { KeyCache } from './crypto/key-cache.ts';
import { createPasswords } from './crypto/passwords.ts';
import { createProviderCallbacks, createProviderTokens } from './crypto/provider-tokens.ts';
import { createUploadSealing } from './crypto/upload-sealing.ts';
import { createWebhookSecrets } from './crypto/webhook-secrets.ts';
import { createOutboundMedia } from './http/outbound-media.ts';
import { createOutboundPost } from './http/outbound-post.ts';
import type { KeyFolder } from './keys/key-folder.ts';
import { type Checkpoints, openCheckpoints } from './resources/checkpoints.ts';
import { type Closers, createClosers } from './resources/closers.ts';
import { createLogUpkeep, type LogUpkeep } from './resources/log-upkeep.ts';
import { openGuarded } from './resources/open-guarded.ts';
import { openKeys } from './resources/open-keys.ts';
import { openLog } from './resources/open-log.ts';
import { openObjects, s3Bucket } from './resources/open-objects.ts';
import { lossOf, type OpenedPostgres, openPostgres } from './resources/open-postgres.ts';
import { now, type Purpose } from './resources/purpose.ts';
import { bundleAgeOf, readinessOf, roomOf } from './resources/readiness.ts';
import { tablesOf } from './resources/tables.ts';
import { createExamineVault, type ExamineVault } from './services/examine-vault.ts';
import type { GivenUp } from './services/fetch-attempt.ts';
import type { KeyBundleAge } from './services/key-bundle-age.ts';
import { recordInstallation } from './services/record-installation.ts';
import { createServices, type Services } from './services/services.ts';
import { writeBundleFile } from './storage/bundle-file.ts';
import { assertNamedPlace } from './storage/checkpoint-folder.ts';
import { runningInstance } from './storage/data-folder.ts';
import { assertFounded } from './storage/founded.ts';
import { fullDiskFault } from './storage/full-disk.ts';
import { createInstallationTable, type Installation } from './storage/installation-table.ts';
import { bundleKeyOf, bundleKeyParts, envelopeKeyOf, objectKeyOf, partKeyOf } from './storage/object-key.ts';

/** What is open to the outside world, and everything that can be asked of it. */
export type Resources = {
  readonly services: Services;
  readonly audit: AuditWriter;
  readonly log: AuditReader;
  readonly jwtKeys: JwtKeys;
  readonly checkpoints: Checkpoints;
  /** What the role of the database can do too much, where that is told ({@link Founding}); null when nothing is. */
  readonly excess: string | null;
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

/**
 * Whether a new vault may be made where there is none; and whether a command wants to be told of a role that can do too much
 * (`told`), or is refused it as the vault is.
 */
export type Founding = { readonly mayFound: boolean; readonly excess?: 'refused' | 'told' };

/** What services use of storage besides what is opened here: how things are named, and a file of somebody's own. */
const storageNames = { objectKeyOf, envelopeKeyOf, partKeyOf, bundleKeyOf, bundleKeyParts, writeBundleFile };

/** What services are told by the configuration, and what tells receivers, some of which may be inside. */
const settingsOf = (config: Config, keys: KeyCache, logger: Logger) => {
  const allowed = new Set(config.webhookHosts);
  return {
    webhookSecrets: createWebhookSecrets({ keys }),
    webhookHosts: allowed,
    postMessage: createOutboundPost({ allowed }),
    providerTokens: createProviderTokens({ keys }),
    providerCallbacks: createProviderCallbacks({ keys }),
    recordingHosts: new Set([TWILIO_HOST, ...config.recordingHosts]),
    copyKept: (fields: { recording: string; fault: string }) =>
      logger.warn(fields, 'stored, but the provider keeps its copy'),
    fetchGivenUp: ({ call, fault }: GivenUp) =>
      logger.error({ call, fault }, 'a recording was not had from its provider, and is asked for no longer'),
    askProvider: createOutboundMedia({ allowed: new Set(config.recordingHosts), now }),
    radarGraceMs: config.radarGraceMinutes * 60_000,
    maxUploadBytes: config.maxUploadBytes,
    lifetimes: { userMs: config.sessionHours * 3_600_000, sourceMs: config.accessTokenSeconds * 1000 },
  };
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

/** First of all, so that a start that cannot succeed makes nothing. Commands may be about what needs no object. */
const assertPlaces = async ({ checkpointDir, s3 }: Config, purpose: Purpose): Promise<void> => {
  if (checkpointDir !== null) await assertNamedPlace(checkpointDir);
  if (s3 !== null && purpose === 'serve') await (await s3Bucket()).assertS3Bucket(s3);
};

const openAll = async (
  config: Config,
  purpose: Purpose,
  logger: Logger,
  { closers, mayFound, excess = 'refused' }: Founding & { readonly closers: Closers },
): Promise<Resources> => {
  if (!mayFound) await assertFounded(config);
  await assertPlaces(config, purpose);
  const postgres = await openPostgres(config, purpose, logger, closers);
  const { database, guards } = await openGuarded(postgres.settings, purpose, closers, excess);
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
    ...settingsOf(config, keys, logger),
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
    excess: database.excess,
    installationId,
    upkeep,
    verifyLog: upkeep.verify,
    opened: foundIn(config, postgres, keyFolder, known),
    anybody: () => tables.users.any(),
    lost: lossOf(postgres),
    examine: createExamineVault({ ...upkeep, readiness, checkpoints, guards, room: roomOf(config) }),
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
  founding: Founding = { mayFound: true },
): Promise<Resources> => {
  const closers = createClosers();
  try {
    return await openAll(config, purpose, logger, { closers, ...founding });
  } catch (error) {
    await closers.closeAll();
    throw await fullDiskFault(error, foldersOf(config));
  }
};

/** The vault that serves on this data folder now, as it announced itself; null when there is none. */
export const runningVault = runningInstance;
