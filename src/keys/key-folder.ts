import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, isAppError } from '../core/errors.ts';
import { integrityFailure } from '../crypto/integrity.ts';
import { type KeyStore, keysUnavailable, wrongKey } from '../crypto/key-store.ts';
import { createFileKeyProvider } from './file-key-provider.ts';
import { parseEntryFileName } from './key-entry.ts';
import type { KeyProvider } from './key-provider.ts';
import { CANARY, createKeyStore, finishDestroyed } from './key-store.ts';
import { namesIn, ownFolder, sweepTemporary } from './owner-only-file.ts';
import { assertRootKeyClosed, createRootKey } from './root-key-file.ts';

export type KeyFolder = {
  readonly provider: KeyProvider;
  readonly store: KeyStore;
  /** These two hold what cannot be replaced: lose either and every recording is lost. */
  readonly rootKeyFile: string;
  readonly keyringFolder: string;
  /** Names this folder for life: the id of its canary, which no rotation changes. Not secret. */
  readonly keyId: string;
};

export type KeyFolderOptions = {
  /** Mode 0700, outside the data folder and its backups. */
  readonly directory: string;
  /** The root key when it lies elsewhere, such as on a mounted secret; by default `root.key` in the folder. */
  readonly rootKeyFile?: string;
  /**
   * True only for an installation that has sealed nothing yet: makes what is missing. Otherwise missing keys are an error,
   * for new ones would open nothing that is there.
   */
  readonly create: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

const exists = async (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const prepareRootKey = async (path: string, ring: readonly string[], create: boolean): Promise<void> => {
  if (await exists(path)) return;
  if (ring.length > 0)
    throw wrongKey(`${path} is missing beside keys that it wraps. Restore it from its backup.`);
  if (!create) throw keysUnavailable(new Error(`the root key file ${path} is missing`));
  await createRootKey(path);
};

const open = async ({
  directory,
  rootKeyFile = join(directory, 'root.key'),
  create,
  now,
}: KeyFolderOptions): Promise<KeyFolder> => {
  const keyringFolder = join(directory, 'keyring');
  for (const folder of [directory, keyringFolder]) {
    await ownFolder(folder, create);
    await sweepTemporary(folder, now());
  }
  const ring = (await namesIn(keyringFolder)).filter((name) => parseEntryFileName(name) !== null);
  await prepareRootKey(rootKeyFile, ring, create);
  await finishDestroyed(keyringFolder);
  const provider = await createFileKeyProvider({ path: rootKeyFile });
  const store = createKeyStore({ folder: keyringFolder, provider, now });
  if ((await store.versions(CANARY)).length === 0) {
    if (!create || ring.length > 0) throw integrityFailure('stored_key');
    await store.create(CANARY, CANARY.version);
  }
  const { keyId } = await store.open(CANARY, CANARY.version);
  return { provider, store, rootKeyFile, keyringFolder, keyId };
};

/** Errors that say nothing of themselves to a client; the operator who starts the vault must learn which folder it is. */
const explained = (error: unknown, directory: string): unknown => {
  if (!isAppError(error)) return error;
  const { code, cause } = error;
  if (code === 'integrity_failure')
    return new AppError(
      code,
      `The key ring in ${directory} is damaged or not whole: restore it from its backup.`,
      { cause },
    );
  if (code === 'keys_unavailable')
    return new AppError(
      code,
      `The keys in ${directory} are not there or cannot be read: mount the folder, or restore it from its backup.`,
      { ...error.extras, cause },
    );
  return error;
};

/**
 * Opens the key folder (`root.key` and `keyring/`) and proves by the canary that the root key is the right one. Throws
 * `config_invalid` when others can get at the folder, `keys_unavailable` when it or the root key is not there, `wrong_key`
 * when root key and key ring do not belong together, `integrity_failure` when the canary is missing or damaged.
 */
export const openKeyFolder = async (options: KeyFolderOptions): Promise<KeyFolder> => {
  try {
    return await open(options);
  } catch (error) {
    throw explained(error, options.directory);
  }
};

/**
 * Everything at once for which {@link openKeyFolder} would throw `config_invalid` as the folder is now: who can get at it, its
 * key ring and the root key. Makes and reads nothing; what is not there is no fault.
 */
export const keyFolderFaults = async ({
  directory,
  rootKeyFile = join(directory, 'root.key'),
}: Pick<KeyFolderOptions, 'directory' | 'rootKeyFile'>): Promise<readonly AppError[]> => {
  const faults: AppError[] = [];
  const looks = [
    () => ownFolder(directory, false),
    () => ownFolder(join(directory, 'keyring'), false),
    () => assertRootKeyClosed(rootKeyFile),
  ];
  for (const look of looks)
    await look().catch((error: unknown) => {
      if (isAppError(error, 'config_invalid')) faults.push(error);
      else if (!isAppError(error)) throw error;
    });
  return faults;
};
