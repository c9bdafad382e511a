import { lstatSync, readFileSync, readlinkSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { createSecureContext } from 'node:tls';
import { keyTypes, parseNoteKey } from './core/audit/note.ts';
import { isLoopbackHost, proxyRangeFault } from './core/network-address.ts';
import type { PostgresSettings } from './core/postgres-settings.ts';
import { type PostgresUrl, parsePostgresUrl } from './core/postgres-url.ts';
import { weakness } from './core/weak-secret.ts';
import { allowedAuthority } from './core/webhook-url.ts';

/** Takes one fault: the variable, and the end of a sentence that says what is wrong and what to do, without any secret. */
export type Report = (variable: string, fault: string) => void;

const wordOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unreadable';

/** A file's text, or null after reporting. */
export const readTextFile = (variable: string, path: string, report: Report): string | null => {
  try {
    if (statSync(path).size > 1024 * 1024) throw Object.assign(new Error(), { code: 'larger than 1 MiB' });
    return readFileSync(path, 'utf8');
  } catch (error) {
    report(
      variable,
      `names a file that cannot be read (${wordOf(error)}): check the path and who may read it`,
    );
    return null;
  }
};

/** The text of a file with a secret, or null after reporting. Container secrets are 0444: others may read it, none may write. */
export const readSecretFile = (variable: string, path: string, report: Report): string | null => {
  const text = readTextFile(variable, path, report);
  if (text !== null && (statSync(path).mode & 0o022) !== 0)
    report(
      variable,
      'names a file that others than its owner may write, who could put a secret of theirs there: run chmod go-w on it',
    );
  return text;
};

/** Node's switch against certificates, which would hold for the object store and for every receiver of webhooks. */
export const verificationRules = (switchedTo: string | undefined, report: Report): void => {
  if (switchedTo === '0')
    report(
      'NODE_TLS_REJECT_UNAUTHORIZED',
      'is 0, and any certificate would be believed: take it out, and name a certificate authority of your own in NODE_EXTRA_CA_CERTS',
    );
};

/** Where a path really leads, through every symbolic link, those included that lead to what does not exist yet. */
const realPathOf = (path: string, links = 0): string => {
  if (links > 40) throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' });
  try {
    return realpathSync(path);
  } catch (error) {
    if (wordOf(error) !== 'ENOENT' || path === dirname(path)) throw error;
  }
  const link = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return link
    ? realPathOf(resolve(dirname(path), readlinkSync(path)), links + 1)
    : join(realPathOf(dirname(path), links), basename(path));
};

/** proc, sysfs, cgroup, cgroup2, debugfs: statfs(2). In some of them a folder can for ever be neither found nor made. */
const KERNELS_OWN = new Set([0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x64626720]);

/** Whether a folder would lie where the kernel shows itself, and nothing can be kept. */
const isOfTheKernel = (path: string): boolean => {
  try {
    return KERNELS_OWN.has(statfsSync(path).type);
  } catch {
    return path !== dirname(path) && isOfTheKernel(dirname(path));
  }
};

const isWithin = (folder: string, path: string): boolean => {
  const way = relative(folder, path);
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way));
};

export type Folders = {
  readonly dataDir: string;
  readonly keysDir: string;
  readonly keyFile: string;
  /** Null: none is named. */
  readonly checkpointDir: string | null;
};

type GivenFolders = {
  readonly data: string;
  readonly keys: string | undefined;
  readonly keyFile: string | undefined;
  readonly checkpoints: string | undefined;
};

/** Absolute, real paths. Keys beside the data in one folder would be in its backups, and open them. */
export const folderRules = (given: GivenFolders, report: Report): Folders | null => {
  const find = (variable: string, path: string): string | null => {
    try {
      const real = realPathOf(resolve(path));
      if (!isOfTheKernel(real)) return real;
      report(
        variable,
        `lies in a file system of the kernel (${real}), which keeps no files: name a folder on a disk`,
      );
      return null;
    } catch (error) {
      report(variable, `names a path that cannot be followed (${wordOf(error)})`);
      return null;
    }
  };
  const dataDir = find('DATA_DIR', given.data);
  const keysDir = find('KEYS_DIR', given.keys ?? `${resolve(given.data)}.keys`);
  const keyFile = find('KEY_FILE', given.keyFile ?? join(keysDir ?? '/', 'root.key'));
  const checkpointDir = given.checkpoints === undefined ? '' : find('CHECKPOINT_DIR', given.checkpoints);
  if (dataDir === null || keysDir === null || keyFile === null || checkpointDir === null) return null;
  const apart = 'a copy of the data would hold the keys that open it; put them side by side';
  if (isWithin(dataDir, keysDir)) report('KEYS_DIR', `lies inside DATA_DIR (${dataDir}): ${apart}`);
  else if (isWithin(keysDir, dataDir)) report('DATA_DIR', `lies inside KEYS_DIR (${keysDir}): ${apart}`);
  if (given.keyFile !== undefined && isWithin(dataDir, keyFile))
    report('KEY_FILE', `lies inside DATA_DIR (${dataDir}): ${apart}`);
  if (checkpointDir === dataDir || (checkpointDir !== '' && isWithin(keysDir, checkpointDir)))
    report('CHECKPOINT_DIR', 'is the folder of the data or of the keys: give checkpoints one of their own');
  return { dataDir, keysDir, keyFile, checkpointDir: checkpointDir === '' ? null : checkpointDir };
};

const sslOf = (variable: string, url: PostgresUrl, report: Report): PostgresSettings['ssl'] | null => {
  if (url.tls === null) return undefined;
  const files = { ca: url.tls.rootCertificateFile, cert: url.tls.certificateFile, key: url.tls.keyFile };
  const texts: Record<string, string> = {};
  for (const [name, path] of Object.entries(files)) {
    if (path === null) continue;
    const text = readTextFile(variable, path, report);
    if (text === null) return null;
    texts[name] = text;
  }
  if ((files.cert === null) !== (files.key === null)) {
    report(variable, 'names only one of sslcert and sslkey: name both');
    return null;
  }
  return { rejectUnauthorized: true, host: url.host, ...texts };
};

/** Settings of a database role from its URL, or null after reporting every fault. */
export const databaseRules = (variable: string, text: string, report: Report): PostgresSettings | null => {
  const { url, faults } = parsePostgresUrl(text);
  for (const fault of faults) report(variable, fault);
  if (url === null) return null;
  const known = url.host.startsWith('/') || url.tls?.certificateFile != null;
  const weak = url.password === '' ? (known ? null : 'is missing') : weakness(url.password);
  if (weak !== null)
    report(
      variable,
      `has a password that ${weak}: make one with "openssl rand -hex 24" and give it to the role`,
    );
  const ssl = sslOf(variable, url, report);
  if (ssl === null) return null;
  const { host, port, user, password, database } = url;
  return { host, port, user, password, database, ...(ssl === undefined ? {} : { ssl }) };
};

/** The migrating role must be another one, on the same database. */
export const migrationRules = (
  serving: PostgresSettings | null,
  migrating: PostgresSettings | null,
  report: Report,
): void => {
  if (serving === null || migrating === null) return;
  if (serving.user === migrating.user)
    report(
      'MIGRATE_DATABASE_URL',
      'names the role of DATABASE_URL: the serving role must not be able to change the schema',
    );
  if (serving.database !== migrating.database)
    report(
      'MIGRATE_DATABASE_URL',
      'names another database than DATABASE_URL: migrate the one that is served',
    );
};

/** Who may remove old bodies of the log is nobody who writes it or changes its schema, on the same database. */
export const retentionRules = (
  retention: PostgresSettings | null,
  [serving, migrating]: readonly [PostgresSettings | null, PostgresSettings | null],
  report: Report,
): void => {
  if (retention === null) return;
  if (retention.user === serving?.user || retention.user === migrating?.user)
    report(
      'RETENTION_DATABASE_URL',
      'names the role of DATABASE_URL or MIGRATE_DATABASE_URL: who removes old bodies of the access log must be another',
    );
  if (serving?.database !== retention.database)
    report('RETENTION_DATABASE_URL', 'names another database than DATABASE_URL: set it beside that one');
};

export type S3Settings = {
  /** Null: Amazon's own, by region. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly forcePathStyle: boolean;
};

const endpointFault = (text: string): string | null => {
  // The parser would mend some of these; what somebody meant by them is anybody's guess.
  if (/[\s\p{Cc}\\]/u.test(text) || !URL.canParse(text)) return 'is not a URL';
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'is neither https:// nor http://';
  if (url.username !== '' || url.password !== '') return 'has a user name or password in it: take it out';
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    return 'has a path, query or fragment: give scheme, host and port only';
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname.replace(/^\[(.*)\]$/, '$1')))
    return 'reaches another machine in plain text: use https://';
  return null;
};

/** Checks a whole set of S3 settings; the caller has seen to it that the four that must be there are. */
export const s3Rules = (settings: S3Settings, report: Report): void => {
  const fault = settings.endpoint === null ? null : endpointFault(settings.endpoint);
  if (fault !== null) report('S3_ENDPOINT', fault);
  const weak = settings.secretAccessKey === '' ? null : weakness(settings.secretAccessKey);
  if (weak !== null) report('S3_SECRET_ACCESS_KEY', `${weak}: let the object store make one`);
};

/** A witness of the access log: its key as it prints it, and the address below which it takes checkpoints. */
export type WitnessAddress = { readonly key: string; readonly url: string };

const witnessUrlFault = (text: string): string | null => {
  if (/[\p{Cc}\\]/u.test(text) || !URL.canParse(text)) return 'has no URL behind it';
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'is neither at https:// nor at http://';
  if (url.username !== '' || url.password !== '')
    return 'has a user name or password in its URL: take it out';
  if (url.search !== '' || url.hash !== '') return 'has a query or fragment in its URL: take it out';
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname.replace(/^\[(.*)\]$/, '$1')))
    return 'is on another machine in plain text: use https://';
  return null;
};

/** `key url`, several separated by commas. */
export const witnessRules = (text: string | undefined, report: Report): readonly WitnessAddress[] => {
  const witnesses: WitnessAddress[] = [];
  for (const one of text === undefined ? [] : text.split(',')) {
    const [vkey = '', url = '', ...rest] = one.trim().split(/ +/);
    const key = parseNoteKey(vkey);
    const which = key?.name ?? vkey.slice(0, 40);
    if (key?.type !== keyTypes.cosignature || rest.length > 0)
      report(
        'WITNESSES',
        `is not a list of "key url", separated by commas, at "${which}": take the key as the witness prints it`,
      );
    else if (witnessUrlFault(url) !== null)
      report('WITNESSES', `names ${which}, which ${witnessUrlFault(url)}`);
    else if (witnesses.some((other) => other.key === vkey))
      report('WITNESSES', `names ${which} twice: keep one`);
    else witnesses.push({ key: vkey, url: url.replace(/\/+$/, '') });
  }
  return witnesses;
};

export type TlsFiles = { readonly certFile: string; readonly keyFile: string };

/** Both or neither, readable, belonging together, and the key closed to other users. */
export const tlsRules = (
  certFile: string | undefined,
  keyFile: string | undefined,
  report: Report,
): TlsFiles | null => {
  if (certFile === undefined || keyFile === undefined) {
    if (certFile !== undefined)
      report('TLS_KEY_FILE', 'is missing beside TLS_CERT_FILE: set both or neither');
    if (keyFile !== undefined) report('TLS_CERT_FILE', 'is missing beside TLS_KEY_FILE: set both or neither');
    return null;
  }
  const cert = readTextFile('TLS_CERT_FILE', certFile, report);
  const key = readTextFile('TLS_KEY_FILE', keyFile, report);
  if (cert === null || key === null) return null;
  if ((statSync(keyFile).mode & 0o007) !== 0)
    report('TLS_KEY_FILE', 'names a file that every user of this machine can read: run chmod 600 on it');
  else if ((statSync(keyFile).mode & 0o020) !== 0)
    report('TLS_KEY_FILE', 'names a file that its group may write: run chmod g-w on it');
  try {
    createSecureContext({ cert, key });
  } catch {
    report(
      'TLS_CERT_FILE',
      'and TLS_KEY_FILE are not a certificate chain and its own unencrypted key, both in PEM',
    );
  }
  return { certFile: resolve(certFile), keyFile: resolve(keyFile) };
};

/** Addresses of proxies that may say who the client is. */
export const proxyRules = (text: string | undefined, report: Report): readonly string[] => {
  if (text === undefined) return [];
  const ranges = text.split(',').map((range) => range.trim());
  for (const range of ranges) {
    const fault = proxyRangeFault(range);
    if (fault !== null)
      report('TRUSTED_PROXY', `${fault}: list the proxies' addresses, such as 10.0.0.5,10.1.0.0/24`);
  }
  return ranges;
};

/** Hosts that the operator permits, each as `host:port`; the port is 443 unless it is named. */
export const hostRules = (
  name: 'WEBHOOK_HOSTS' | 'RECORDING_HOSTS',
  text: string | undefined,
  report: Report,
): readonly string[] => {
  if (text === undefined) return [];
  const hosts = text.split(',').map((host) => allowedAuthority(host.trim()));
  if (hosts.includes(null))
    report(
      name,
      'must be names of hosts or IPv4 addresses with commas between, such as hooks.region.internal:8443',
    );
  return hosts.filter((host) => host !== null);
};

/** Plain text leaves this machine only towards proxies that are named. `guarded`: certificate and key are. */
export const listenRules = (
  host: string,
  { guarded, proxies }: { readonly guarded: boolean; readonly proxies: readonly string[] },
  report: Report,
): void => {
  if (isLoopbackHost(host) || guarded || proxies.length > 0) return;
  report(
    'HOST',
    `is ${host}, beyond this machine, and calls would travel in plain text: set TLS_CERT_FILE and TLS_KEY_FILE, or TRUSTED_PROXY to the addresses of the proxy that ends TLS, or listen on 127.0.0.1`,
  );
};
