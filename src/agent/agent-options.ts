import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { AppError } from '../core/errors.ts';
import { readSigningKey } from '../crypto/edge-sealing.ts';
import { assertKnownVariables } from './call-fields.ts';
import type { OpenVaultOptions } from './open-vault.ts';
import { readEdgeKey } from './sealing-client.ts';
import { parseVaultUrl } from './vault-client.ts';

/** How an agent is told of its vault, on the command line; never the key itself, which others on the machine would see. */
export type AgentOptions = {
  readonly url?: string;
  readonly keyFile?: string;
  readonly ca?: string;
  /** File with the source's Ed25519 private key (PEM): everything is sealed and signed before it leaves. */
  readonly sealWith?: string;
  /** File with the organisation's public key that is sealed to; needed with `sealWith`. */
  readonly edgeKey?: string;
};
type Environment = Readonly<Record<string, string | undefined>>;

const invalid = (sentence: string): AppError => new AppError('config_invalid', sentence);
const why = (error: unknown): string => {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return /^E[A-Z0-9]{1,20}$/.test(code) ? code : 'unreadable';
};

/** An access list on the file shows in its mode as rights of the group, which systemd gives a unit's credentials. */
const widestMode = (path: string, environment: Environment): number => {
  const folder = environment.CREDENTIALS_DIRECTORY;
  return folder !== undefined && folder !== '' && resolve(path).startsWith(`${resolve(folder)}${sep}`)
    ? 0o640
    : 0o600;
};

const MAX_KEY_BYTES = 4_096;
/** What a header can carry. */
const KEY = /^[\x21-\x7e]{1,512}$/;

/** `what` is the file, in sentences that never repeat what it holds. */
type KeyFile = { readonly path: string; readonly what: string; readonly environment: Environment };

/** Of the file of a public key: who can write it could have recordings sealed to a key of his own. */
const WRITABLE_BY_OTHERS = 0o022;

/** From a file that nobody else can change, and if it is `secret` nobody else can read. */
const readKeyFile = async ({ path, what, environment }: KeyFile, secret: boolean): Promise<string> => {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw invalid(`${what} cannot be read (${why(error)}).`);
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw invalid(`${what} is not a file.`);
    if (secret && (stat.mode & 0o777 & ~widestMode(path, environment)) !== 0)
      throw invalid(`${what} is open to others than its owner: chmod 600.`);
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0)
      throw invalid(`${what} can be changed by others than its owner: chmod 644.`);
    if (stat.uid !== 0 && stat.uid !== process.geteuid?.())
      throw invalid(`${what} belongs to another user, who could change it.`);
    if (stat.size > MAX_KEY_BYTES) throw invalid(`${what} is too long to be one.`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
};

/**
 * The key of a source, from a file that nobody but its owner can read. Throws `config_invalid`, which never repeats what the
 * file holds.
 */
export const readSourceKey = async (path: string, environment: Environment = {}): Promise<string> => {
  const key = (await readKeyFile({ path, what: 'The key file', environment }, true)).trim();
  if (!KEY.test(key)) throw invalid('The key file holds no API key of a source.');
  return key;
};

const readCertificates = async (path: string): Promise<string> => {
  const ca = await readFile(path, 'utf8').catch((error: unknown) => {
    throw invalid(`The certificates of --ca cannot be read (${why(error)}).`);
  });
  if (!ca.includes('-----BEGIN CERTIFICATE-----'))
    throw invalid('--ca names no certificates: they are in PEM.');
  return ca;
};

/** Node's switch would have a key and calls sent to whoever answers. */
const assertVerifying = (environment: Environment): void => {
  if (environment.NODE_TLS_REJECT_UNAUTHORIZED === '0')
    throw invalid(
      "NODE_TLS_REJECT_UNAUTHORIZED is 0, and any certificate would be taken for the vault's: take it out, and name an authority of your own with --ca, CALLVAULT_CA or NODE_EXTRA_CA_CERTS.",
    );
};

/** Both keys of edge sealing or none. */
const readSealing = async (
  options: AgentOptions,
  environment: Environment,
): Promise<Pick<OpenVaultOptions, 'signingKey' | 'edgeKey'>> => {
  const sealWith = options.sealWith ?? (environment.CALLVAULT_SIGNING_KEY_FILE || undefined);
  const edgeKey = options.edgeKey ?? (environment.CALLVAULT_EDGE_KEY_FILE || undefined);
  if (sealWith === undefined && edgeKey === undefined) return {};
  if (edgeKey === undefined)
    throw invalid(
      'Name the file with the key to seal to, --edge-key or CALLVAULT_EDGE_KEY_FILE: asked over the network, whoever answers could give his own.',
    );
  if (sealWith === undefined)
    throw invalid(
      'Name the file with the key to sign with, --seal-with or CALLVAULT_SIGNING_KEY_FILE: without it nothing is sealed.',
    );
  const signing = { path: sealWith, what: 'The signing key file', environment };
  const sealing = { path: edgeKey, what: 'The file of --edge-key', environment };
  return {
    signingKey: readSigningKey(await readKeyFile(signing, true)).key,
    edgeKey: readEdgeKey(await readKeyFile(sealing, false)),
  };
};

/**
 * Options of a command, and where they are absent CALLVAULT_URL, CALLVAULT_SOURCE_KEY_FILE, CALLVAULT_CA,
 * CALLVAULT_SIGNING_KEY_FILE and CALLVAULT_EDGE_KEY_FILE, as what a client needs. Throws `config_invalid`.
 */
export const readAgentOptions = async (
  options: AgentOptions,
  environment: Environment,
): Promise<OpenVaultOptions> => {
  assertVerifying(environment);
  assertKnownVariables(environment);
  const url = options.url ?? (environment.CALLVAULT_URL || undefined);
  if (url === undefined) throw invalid('Name the vault: --url https://…, or CALLVAULT_URL.');
  parseVaultUrl(url);
  const keyFile = options.keyFile ?? (environment.CALLVAULT_SOURCE_KEY_FILE || undefined);
  if (keyFile === undefined)
    throw invalid('Name the file with the key of the source: --key-file, or CALLVAULT_SOURCE_KEY_FILE.');
  const apiKey = await readSourceKey(keyFile, environment);
  const caFile = options.ca ?? (environment.CALLVAULT_CA || undefined);
  return {
    url,
    apiKey,
    ...(caFile === undefined ? {} : { ca: await readCertificates(caFile) }),
    ...(await readSealing(options, environment)),
  };
};
