import { type Static, type TSchema, Type } from 'typebox';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

const text = (rule: string, pattern: string, options: { default?: string; secret?: true } = {}) =>
  Type.String({ pattern, rule, ...options });
const path = (options: { default?: string } = {}) =>
  text('must be a path without control characters', '^[^\\x00-\\x1f\\x7f]{1,4000}$', options);
const whole = (minimum: number, maximum: number, value?: number) =>
  Type.Integer({
    minimum,
    maximum,
    rule: `must be a whole number from ${minimum} to ${maximum}`,
    ...(value === undefined ? {} : { default: value }),
  });
const secret = (rule = 'must be printable ASCII') => text(rule, '^[\\x21-\\x7e]{1,4096}$', { secret: true });
const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

/** Every variable there is, and no other; .env.example says what each is for. `secret` ones may be given as NAME_FILE. */
export const environmentSchema = Type.Object({
  HOST: text('must be a host name or an IP address', '^[A-Za-z0-9.:_-]{1,253}$', { default: '127.0.0.1' }),
  PORT: whole(0, 65_535, 8080),
  METRICS_PORT: Type.Optional(whole(0, 65_535)),
  TLS_CERT_FILE: Type.Optional(path()),
  TLS_KEY_FILE: Type.Optional(path()),
  TRUSTED_PROXY: Type.Optional(text('must be a list of addresses', '^[^\\x00-\\x1f\\x7f]{1,2000}$')),
  INSTALLATION_NAME: text(
    'must be 1 to 63 lower-case letters, digits, dots or hyphens, such as vault.example.org',
    '^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$',
    { default: 'callvault' },
  ),
  LOG_LEVEL: Type.Enum([...levels], { default: 'info', rule: `must be one of ${levels.join(', ')}` }),
  DATA_DIR: path({ default: './data' }),
  KEYS_DIR: Type.Optional(path()),
  KEY_FILE: Type.Optional(path()),
  CHECKPOINT_DIR: Type.Optional(path()),
  DATABASE_URL: Type.Optional(secret('must be a URL of printable ASCII')),
  MIGRATE_DATABASE_URL: Type.Optional(secret('must be a URL of printable ASCII')),
  RETENTION_DATABASE_URL: Type.Optional(secret('must be a URL of printable ASCII')),
  // audit.prune refuses less than five years, whatever stands here.
  AUDIT_RETENTION_YEARS: whole(5, 100, 5),
  VERIFY_AT_HOUR: whole(0, 23, 3),
  WITNESSES: Type.Optional(text('must be a list of keys and addresses', '^[^\\x00-\\x1f\\x7f]{1,20000}$')),
  S3_ENDPOINT: Type.Optional(text('must be a URL', '^.{1,2000}$')),
  S3_REGION: Type.Optional(text('must be a region name such as eu-north-1', '^[a-z0-9-]{1,64}$')),
  S3_BUCKET: Type.Optional(text('must be a bucket name', '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$')),
  S3_ACCESS_KEY_ID: Type.Optional(secret()),
  S3_SECRET_ACCESS_KEY: Type.Optional(secret()),
  S3_FORCE_PATH_STYLE: Type.Optional(Type.Boolean({ rule: 'must be true or false' })),
  S3_CHECKPOINT_LOCK_DAYS: Type.Optional(whole(1, 36_500)),
  MAX_UPLOAD_BYTES: whole(MIB, 1024 * GIB, 4 * GIB),
  ACCESS_TOKEN_SECONDS: whole(30, 3600, 300),
  SESSION_HOURS: whole(1, 24, 12),
  REQUESTS_PER_MINUTE: whole(10, 10_000_000, 6000),
  FREE_DISK_FLOOR: whole(0, 1024 * GIB, GIB),
  // Several heartbeats of a flowing upload (upload-intent.ts): fewer would give living ones up.
  UPLOAD_GRACE_SECONDS: whole(60, 86_400, 900),
  KEYS_EXPORT_MINUTES: whole(1, 10_080, 1440),
  RADAR_GRACE_MINUTES: whole(1, 10_080, 60),
  WEBHOOK_HOSTS: Type.Optional(text('must be a list of hosts', '^[^\\x00-\\x1f\\x7f]{1,4000}$')),
  RECORDING_HOSTS: Type.Optional(text('must be a list of hosts', '^[^\\x00-\\x1f\\x7f]{1,4000}$')),
});

export type Environment = Static<typeof environmentSchema>;
export type Rule = TSchema & { readonly rule: string; readonly default?: unknown; readonly secret?: true };

/** What each variable must be; `rule` ends a sentence that begins with its name. */
export const rules = environmentSchema.properties as unknown as Readonly<Record<keyof Environment, Rule>>;
export const names = Object.keys(rules) as (keyof Environment)[];
