import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';
import { integrityFailure } from '../crypto/integrity.ts';
import { INSTALLATION, type KeyName, type KeyStore, type StoredKey, wrongKey } from '../crypto/key-store.ts';
import { KEY_BYTES, keyIdOf, secretKey } from '../crypto/secret.ts';
import {
  decodeKeyEntry,
  encodeKeyEntry,
  entryFileName,
  isKeyVersion,
  MAX_ENTRY_BYTES,
  parseEntryFileName,
} from './key-entry.ts';
import type { KeyContext, KeyProvider } from './key-provider.ts';
import { createOnce, namesIn, readOwnerOnly, removeDurably } from './owner-only-file.ts';

export type KeyStoreDeps = {
  /** The key ring folder; must exist and be the vault's own. */
  readonly folder: string;
  readonly provider: KeyProvider;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

export const CANARY: KeyContext = { organisation: INSTALLATION, purpose: 'canary', version: 1 };

const missing = () => wrongKey('There is no such key in the key store, or not any more.');

/**
 * Wrapped keys as files, one per organisation, purpose and version, written once and never changed. Which process came
 * first is decided by the file system, so two that create the same key end up with one.
 */
export const createKeyStore = ({ folder, provider, now }: KeyStoreDeps): KeyStore => {
  const pathOf = (context: KeyContext) => join(folder, entryFileName(context, 'key'));
  const tombOf = (context: KeyContext) => join(folder, entryFileName(context, 'destroyed'));

  const unwrap = async (context: KeyContext, content: Uint8Array): Promise<StoredKey> => {
    const entry = decodeKeyEntry(content, context);
    if (entry.provider !== provider.kind || entry.rootKeyId !== provider.keyId)
      throw wrongKey('The key store was made with another root key.');
    const key = secretKey(await provider.unwrap(context, entry.blob));
    if (keyIdOf(key) !== entry.keyId) throw integrityFailure('stored_key');
    return { version: context.version, keyId: entry.keyId, key };
  };

  const isDestroyed = async (context: KeyContext) =>
    (await readOwnerOnly(tombOf(context), MAX_ENTRY_BYTES)) !== null;

  const open = async (name: KeyName, version: number): Promise<StoredKey> => {
    // Comes from an envelope and is attacker-controlled.
    if (!isKeyVersion(version)) throw missing();
    const context = { ...name, version };
    const content = await readOwnerOnly(pathOf(context), MAX_ENTRY_BYTES);
    if (content === null || (await isDestroyed(context))) throw missing();
    return unwrap(context, content);
  };

  /** Wraps new random bytes and puts them under the name unless something is there already. */
  const offer = async (context: KeyContext): Promise<void> => {
    const secret = randomFillSync(Buffer.alloc(KEY_BYTES));
    try {
      const blob = await provider.wrap(context, secret);
      const keyId = keyIdOf(secretKey(secret));
      const entry = encodeKeyEntry({
        ...context,
        keyId,
        provider: provider.kind,
        rootKeyId: provider.keyId,
        createdAt: new Date(now()).toISOString(),
        blob,
      });
      await createOnce(pathOf(context), entry);
    } finally {
      secret.fill(0);
    }
  };

  return {
    open,
    versions: async (name) => {
      const entries = (await namesIn(folder))
        .map(parseEntryFileName)
        .filter((entry) => entry !== null)
        .filter(
          ({ organisation, purpose }) => organisation === name.organisation && purpose === name.purpose,
        );
      const dead = new Set(
        entries.filter(({ state }) => state === 'destroyed').map(({ version }) => version),
      );
      return entries
        .filter(({ state, version }) => state === 'key' && !dead.has(version))
        .map(({ version }) => version)
        .sort((a, b) => b - a);
    },
    create: async (name, version) => {
      const context = { ...name, version };
      if (await isDestroyed(context)) throw missing();
      if ((await readOwnerOnly(pathOf(context), MAX_ENTRY_BYTES)) === null) await offer(context);
      // Read back in every case: what is used is what is on disk.
      return open(name, version);
    },
    destroy: async (name, version) => {
      const context = { ...name, version };
      const stone = Buffer.from(`${JSON.stringify({ destroyedAt: new Date(now()).toISOString() })}\n`);
      // The stone first: killed in between, the version counts as gone and `finishDestroyed` removes the rest.
      await createOnce(tombOf(context), stone);
      await removeDurably(pathOf(context));
    },
    check: async () => {
      await open(CANARY, CANARY.version);
    },
  };
};

/** Removes keys whose destruction was interrupted between its two steps. */
export const finishDestroyed = async (folder: string): Promise<void> => {
  const names = await namesIn(folder);
  for (const name of names) {
    const entry = parseEntryFileName(name);
    if (entry?.state !== 'destroyed') continue;
    const key = entryFileName(entry, 'key');
    if (names.includes(key)) await removeDurably(join(folder, key));
  }
};
