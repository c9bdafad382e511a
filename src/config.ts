import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import {
  databaseRules,
  type Folders,
  folderRules,
  hostRules,
  listenRules,
  migrationRules,
  proxyRules,
  type Report,
  readSecretFile,
  retentionRules,
  type S3Settings,
  s3Rules,
  type TlsFiles,
  tlsRules,
  verificationRules,
  type WitnessAddress,
  witnessRules,
} from './config-rules.ts';
import { type Environment, names, type Rule, rules } from './config-schema.ts';
import { AppError, isAppError } from './core/errors.ts';
import { isOneSlip } from './core/near-miss.ts';
import type { PostgresSettings } from './core/postgres-settings.ts';
import { processEnvironment } from './environment.ts';

/** What this installation is told from outside. Paths are absolute and free of symbolic links. */
export type Config = Folders & {
  readonly host: string;
  readonly port: number;
  /** Null: no metrics. They are served on loopback only. */
  readonly metricsPort: number | null;
  readonly tls: TlsFiles | null;
  readonly trustedProxies: readonly string[];
  readonly installationName: string;
  readonly logLevel: Environment['LOG_LEVEL'];
  /** Null: the embedded PostgreSQL in the data folder. */
  readonly database: PostgresSettings | null;
  /** Used by `callvault migrate` alone. */
  readonly migrateDatabase: PostgresSettings | null;
  /** Used by `callvault prune-log` alone, and made by `callvault migrate`. */
  readonly retentionDatabase: PostgresSettings | null;
  /** How long bodies of the access log are kept at least. */
  readonly auditRetentionYears: number;
  /** When the service verifies the whole access log each night, local time. */
  readonly verifyAtHour: number;
  /** Null: files in the data folder. */
  readonly s3: S3Settings | null;
  /** For how many days Object Lock keeps a checkpoint in the bucket. */
  readonly checkpointLockDays: number;
  /** Who are shown checkpoints of the access log. */
  readonly witnesses: readonly WitnessAddress[];
  readonly maxUploadBytes: number;
  readonly accessTokenSeconds: number;
  readonly sessionHours: number;
  readonly requestsPerMinute: number;
  /** Bytes that must stay free below the data folder. */
  readonly freeDiskFloor: number;
  readonly uploadGraceSeconds: number;
  /** How old the newest bundle of wrapped keys becomes before the vault makes another. */
  readonly keysExportMinutes: number;
  /** How long after its end a call's recording is waited for. */
  readonly radarGraceMinutes: number;
  /** `host:port` of receivers of webhooks inside the operator's networks. */
  readonly webhookHosts: readonly string[];
  /** `host:port` of providers that are asked for recordings, besides Twilio's. */
  readonly recordingHosts: readonly string[];
};

export type RawEnvironment = Readonly<Record<string, string | undefined>>;

const fromText = (rule: Rule, value: string): unknown => {
  if (Type.IsInteger(rule)) return /^(0|[1-9]\d{0,14})$/.test(value) ? Number(value) : value;
  if (Type.IsBoolean(rule)) return value === 'true' ? true : value === 'false' ? false : value;
  return value;
};

/** Taken for absent, a variable whose value got lost would start another vault than is meant, with keys of its own. */
const reportEmpty = (env: RawEnvironment, name: string, report: Report): void => {
  if (env[name] === '') report(name, 'is set but empty: give it a value or leave it out');
};

/** A variable's text, from itself or from the file that NAME_FILE names. An empty variable is reported. */
const textOf = (env: RawEnvironment, name: keyof Environment, report: Report): string | undefined => {
  const [own, file] = [
    env[name] || undefined,
    rules[name].secret ? env[`${name}_FILE`] || undefined : undefined,
  ];
  reportEmpty(env, name, report);
  if (rules[name].secret) reportEmpty(env, `${name}_FILE`, report);
  if (own !== undefined && file !== undefined) report(name, `and ${name}_FILE are both set: keep one`);
  if (file === undefined) return own;
  return readSecretFile(`${name}_FILE`, file, report)?.replace(/\r?\n$/, '');
};

type Given = {
  readonly values: Partial<Environment>;
  /** Reported already: missing from `values`, but not forgotten by whoever wrote the configuration. */
  readonly broken: ReadonlySet<keyof Environment>;
};

/** Reads and types every variable; one that breaks its rule is reported and left out. */
const readVariables = (env: RawEnvironment, report: Report): Given => {
  const values: Record<string, unknown> = {};
  const broken = new Set<keyof Environment>();
  for (const name of names) {
    const rule = rules[name];
    const fail: Report = (variable, fault) => {
      broken.add(name);
      report(variable, fault);
    };
    const given = textOf(env, name, fail);
    const value = given === undefined ? rule.default : fromText(rule, given);
    if (given !== undefined && !Value.Check(rule, value)) fail(name, rule.rule);
    else if (value !== undefined) values[name] = value;
  }
  return { values: values as Partial<Environment>, broken };
};

const known = names.flatMap((name) => (rules[name].secret ? [name, `${name}_FILE`] : [name]));

/** The variable that a name which is none was to be, if one is close. */
const slipOf = (name: string): string | undefined =>
  known.includes(name) ? undefined : known.find((one) => isOneSlip(one, name) || name === `CALLVAULT_${one}`);

/** A misspelt variable would silently leave its default in force, so it stops the start. */
const reportSlips = (env: RawEnvironment, report: Report): void => {
  for (const name of Object.keys(env)) {
    const meant = name.length < 6 ? undefined : slipOf(name);
    if (meant !== undefined)
      report(name, `is not a variable of Callvault: write ${meant} if that is what is meant, or take it out`);
  }
};

const s3Of = ({ values, broken }: Given, report: Report): S3Settings | null => {
  const parts = names.filter((name) => name.startsWith('S3_'));
  if (parts.every((name) => values[name] === undefined && !broken.has(name))) return null;
  const endpoint = values.S3_ENDPOINT ?? null;
  const needed: (keyof Environment)[] = ['S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'];
  const amazons = endpoint === null && !broken.has('S3_ENDPOINT');
  for (const name of amazons ? [...needed, 'S3_REGION' as const] : needed)
    if (values[name] === undefined && !broken.has(name))
      report(
        name,
        'is missing beside other S3 settings: set it, or none of them to keep objects in the data folder',
      );
  const settings = {
    endpoint,
    region: values.S3_REGION ?? 'us-east-1',
    bucket: values.S3_BUCKET ?? '',
    accessKeyId: values.S3_ACCESS_KEY_ID ?? '',
    secretAccessKey: values.S3_SECRET_ACCESS_KEY ?? '',
    forcePathStyle: values.S3_FORCE_PATH_STYLE ?? endpoint !== null,
  };
  s3Rules(settings, report);
  return settings;
};

const databasesOf = (
  { values, broken }: Given,
  report: Report,
): Pick<Config, 'database' | 'migrateDatabase' | 'retentionDatabase'> => {
  const settingsOf = (
    name: 'DATABASE_URL' | 'MIGRATE_DATABASE_URL' | 'RETENTION_DATABASE_URL',
  ): PostgresSettings | null =>
    values[name] === undefined ? null : databaseRules(name, values[name], report);
  if (
    values.MIGRATE_DATABASE_URL !== undefined &&
    values.DATABASE_URL === undefined &&
    !broken.has('DATABASE_URL')
  )
    report(
      'MIGRATE_DATABASE_URL',
      'is set without DATABASE_URL: the embedded database migrates itself, so set both or neither',
    );
  const [database, migrateDatabase] = [settingsOf('DATABASE_URL'), settingsOf('MIGRATE_DATABASE_URL')];
  migrationRules(database, migrateDatabase, report);
  const retentionDatabase = settingsOf('RETENTION_DATABASE_URL');
  retentionRules(retentionDatabase, [database, migrateDatabase], report);
  return { database, migrateDatabase, retentionDatabase };
};

const networkOf = (
  values: Environment,
  { broken }: Given,
  report: Report,
): Pick<Config, 'host' | 'port' | 'metricsPort' | 'tls' | 'trustedProxies'> => {
  const certificate = ['TLS_CERT_FILE', 'TLS_KEY_FILE'] as const;
  // What is wrong with a file that is named is said where it is found, and once.
  const tls = certificate.some((name) => broken.has(name))
    ? null
    : tlsRules(values.TLS_CERT_FILE, values.TLS_KEY_FILE, report);
  const guarded = certificate.every((name) => values[name] !== undefined || broken.has(name));
  const trustedProxies = proxyRules(values.TRUSTED_PROXY, report);
  listenRules(values.HOST, { guarded, proxies: trustedProxies }, report);
  if (values.METRICS_PORT === values.PORT && values.PORT !== 0)
    report('METRICS_PORT', 'is the same as PORT: choose another');
  return {
    host: values.HOST,
    port: values.PORT,
    metricsPort: values.METRICS_PORT ?? null,
    tls,
    trustedProxies,
  };
};

/** The least for which an access log is kept. */
const FIVE_YEARS_DAYS = 1827;

const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
};

/** Variables with a default are always there, unless they were reported and their default is as good as any to go on with. */
const withDefaults = ({ values }: Given): Environment => {
  const defaults = Object.fromEntries(names.map((name) => [name, rules[name].default]));
  return { ...defaults, ...values } as Environment;
};

const foldersOf = (values: Environment, report: Report): Folders | null =>
  folderRules(
    {
      data: values.DATA_DIR,
      keys: values.KEYS_DIR,
      keyFile: values.KEY_FILE,
      checkpoints: values.CHECKPOINT_DIR,
    },
    report,
  );

/**
 * The configuration that `env` describes, frozen, or `config_invalid` with every fault at once: `extras.faults` names the
 * variable and what to do, never a secret. Reads the files that variables name.
 */
export const readConfig = (env: RawEnvironment): Config => {
  const faults: { where: string; fault: string }[] = [];
  const report: Report = (where, fault) => faults.push({ where, fault });
  const given = readVariables(env, report);
  reportSlips(env, report);
  verificationRules(env.NODE_TLS_REJECT_UNAUTHORIZED, report);
  const values = withDefaults(given);
  const folders = foldersOf(values, report);
  const parts = {
    ...networkOf(values, given, report),
    ...databasesOf(given, report),
    s3: s3Of(given, report),
    witnesses: witnessRules(values.WITNESSES, report),
    webhookHosts: hostRules('WEBHOOK_HOSTS', values.WEBHOOK_HOSTS, report),
    recordingHosts: hostRules('RECORDING_HOSTS', values.RECORDING_HOSTS, report),
  };
  if (faults.length > 0 || folders === null) throw invalid(faults);
  return deepFreeze({
    ...folders,
    ...parts,
    installationName: values.INSTALLATION_NAME,
    logLevel: values.LOG_LEVEL,
    checkpointLockDays: values.S3_CHECKPOINT_LOCK_DAYS ?? FIVE_YEARS_DAYS,
    maxUploadBytes: values.MAX_UPLOAD_BYTES,
    accessTokenSeconds: values.ACCESS_TOKEN_SECONDS,
    sessionHours: values.SESSION_HOURS,
    requestsPerMinute: values.REQUESTS_PER_MINUTE,
    freeDiskFloor: values.FREE_DISK_FLOOR,
    uploadGraceSeconds: values.UPLOAD_GRACE_SECONDS,
    keysExportMinutes: values.KEYS_EXPORT_MINUTES,
    radarGraceMinutes: values.RADAR_GRACE_MINUTES,
    auditRetentionYears: values.AUDIT_RETENTION_YEARS,
    verifyAtHour: values.VERIFY_AT_HOUR,
  });
};

type Fault = { readonly where: string; readonly fault: string };

/** `config_invalid` with every fault of settings and, in whole sentences, what is wrong with what they name. */
export const refusal = (faults: readonly Fault[], sentences: readonly string[]): AppError => {
  const all = [...faults.map(({ where, fault }) => `${where} ${fault}.`), ...sentences];
  const many = all.length === 1 ? 'a fault' : `${all.length} faults`;
  return new AppError(
    'config_invalid',
    [`The configuration has ${many}; nothing was started.`, ...all.map((one) => `  ${one}`)].join('\n'),
    { faults },
  );
};

const invalid = (faults: readonly Fault[]): AppError => refusal(faults, []);

/** A setting, a comment or nothing; one in quotation marks may go on over further lines, which is too much to judge here. */
const SETTING = /^\s*(?:#.*|(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=.*)?$/;
/** What may stand in `.env` besides: read from there by `callvault verify --live`, and by Docker Compose. */
const ALSO = /^(?:CALLVAULT_TOKEN|COMPOSE_[A-Z_]+)$/;
/** Names of variables look like this; what does not may be a secret that lost its name, and is not repeated. */
const NAME = /^[A-Z][A-Z0-9_]{0,63}$/;
const OUT = 'take it out, or put it into the environment of the program that it is for';

/** The file is the vault's own, so whatever else it holds was meant to have an effect. */
const strangersIn = (values: object, lineOf: (name: string) => string): Fault[] =>
  Object.keys(values)
    .sort()
    .filter((name) => !known.includes(name) && !ALSO.test(name))
    // Told with those of the environment.
    .filter((name) => name.length < 6 || slipOf(name) === undefined)
    .map((name) => {
      if (!NAME.test(name))
        return {
          where: '.env',
          fault: `has a name${lineOf(name)} that is nothing that Callvault reads from there: ${OUT}`,
        };
      const meant = slipOf(name);
      const instead = meant === undefined ? '' : `write ${meant} if that is what is meant, or `;
      return { where: name, fault: `in .env is nothing that Callvault reads from there: ${instead}${OUT}` };
    });

/** `2 and 5`, `2, 5 and 9`. */
const inWords = (numbers: readonly number[]): string =>
  `${numbers.slice(0, -1).join(', ')} and ${numbers.at(-1)}`;

const faultsOfFile = (path: string, text: string): Fault[] => {
  const faults: Fault[] = [];
  const values = parseEnv(text);
  const many = Object.values(values).some((value) => value?.includes('\n'));
  const lines = text.split(/\r?\n/).map((line) => SETTING.exec(line));
  // Its number and nothing of it: it may be a secret that lost its name.
  if (!many)
    for (const [index, line] of lines.entries())
      if (line === null)
        faults.push({ where: '.env', fault: `has no setting (NAME=value) in line ${index + 1}` });
  // Which of two lines is in force is not to be seen from either. Names of strangers are told below, and once.
  if (!many)
    for (const name of [...known, ...Object.keys(values).filter((one) => ALSO.test(one))]) {
      const found = lines.flatMap((line, index) => (line?.[1] === name ? [index + 1] : []));
      if (found.length > 1)
        faults.push({
          where: name,
          fault: `is in .env more than once, in lines ${inWords(found)}: keep one`,
        });
    }
  const lineOf = (name: string): string =>
    many ? '' : ` in line ${lines.findIndex((line) => line?.[1] === name) + 1}`;
  faults.push(...strangersIn(values, lineOf));
  const secret = names.find((name) => rules[name].secret && values[name]);
  if (secret !== undefined && (statSync(path).mode & 0o077) !== 0)
    faults.push({
      where: '.env',
      fault: `holds ${secret} and is open to other users of this machine: run chmod 600 on it`,
    });
  return faults;
};

/** The file's text; nothing where there is none. */
const readEnvFile = (folder: string): string => {
  try {
    return readFileSync(join(folder, '.env'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw invalid([{ where: '.env', fault: whyUnreadable(folder) }]);
  }
};

const whyUnreadable = (folder: string): string => {
  try {
    accessSync(folder, constants.X_OK);
    return 'cannot be read: check who owns it';
  } catch {
    return `cannot be looked for in ${folder}, which this user may not enter: start from a folder that it may enter`;
  }
};

const faultsOf = (env: RawEnvironment): readonly Fault[] => {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (!isAppError(error, 'config_invalid')) throw error;
    return error.extras.faults ?? [];
  }
};

/**
 * The process's environment over the file `.env` of `folder`, as one value to give to {@link readConfig}. Nothing is
 * written into the environment, so no program that is started inherits a secret from the file. Throws `config_invalid` for a file
 * that is at fault, with the faults of the values beside.
 */
export const readEnvironment = (folder: string): RawEnvironment => {
  const file = readEnvFile(folder);
  const env = { ...parseEnv(file), ...processEnvironment() };
  const faults = file === '' ? [] : faultsOfFile(join(folder, '.env'), file);
  if (faults.length > 0) throw invalid([...faults, ...faultsOf(env)]);
  return env;
};

const places = ['DATA_DIR', 'KEYS_DIR', 'KEY_FILE', 'CHECKPOINT_DIR'] as const;

/**
 * The folders of settings that {@link readEnvironment} or {@link readConfig} refused, so that what is wrong with them can be
 * told as well; null when it is their names that are at fault. Reads `.env` and no other file.
 */
export const readFolders = (folder: string): Folders | null => {
  const faults: string[] = [];
  const report: Report = (variable) => faults.push(variable);
  try {
    const env: RawEnvironment = { ...parseEnv(readEnvFile(folder)), ...processEnvironment() };
    const named = Object.fromEntries(places.map((name) => [name, env[name]]));
    const folders = foldersOf(withDefaults(readVariables(named, report)), report);
    return faults.length > 0 ? null : folders;
  } catch (error) {
    // Told already by whoever refused the settings.
    if (isAppError(error, 'config_invalid')) return null;
    throw error;
  }
};
