import { isOutage, type KeyName, type KeyStore, type StoredKey, wrongKey } from './key-store.ts';
import { createLastingCache } from './lasting-cache.ts';

const MINUTE = 60_000;
/** One call to the provider per organisation, purpose and quarter of an hour. */
const KEY_FRESH_MS = 15 * MINUTE;
/** While the provider is down, keys serve this long after their last unwrap, then nothing opens. */
const LIMIT_MS = 60 * MINUTE;
/** A version made by another process is seen after this long. */
const VERSIONS_FRESH_MS = 5_000;
const RETRY_MS = 5_000;

/** The unwrapped organisation keys, in memory as KeyObjects. Shared by key ring, field encryption and token keys. */
export type KeyCache = {
  /** The version new content is sealed with. Throws `wrong_key` when there is none. */
  readonly newest: (name: KeyName) => Promise<StoredKey>;
  /** Exactly this version; others are never tried. */
  readonly version: (name: KeyName, version: number) => Promise<StoredKey>;
  /** Every live version, newest first; empty when there is none. */
  readonly all: (name: KeyName) => Promise<readonly StoredKey[]>;
  /** Makes version 1 when there is no version at all. */
  readonly ensure: (name: KeyName) => Promise<void>;
  /** Makes the next version, which seals from then on; two processes that rotate at once make the same one. */
  readonly rotate: (name: KeyName) => Promise<StoredKey>;
  /** Removes an old version for ever. Throws `wrong_key` for the newest one and for one that is not there. */
  readonly destroy: (name: KeyName, version: number) => Promise<void>;
  /**
   * Unwraps the canary, and lets go of keys unused for an hour. When the provider refuses or holds another root key, every
   * cached key is dropped. To be called about every minute.
   */
  readonly check: () => Promise<void>;
};

export type KeyCacheDeps = {
  readonly store: KeyStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

const slot = (name: KeyName): string => `${name.organisation}/${name.purpose}`;
const versionSlot = (name: KeyName, version: number): string => `${slot(name)}/${version}`;

export const createKeyCache = ({ store, now }: KeyCacheDeps): KeyCache => {
  const timing = { limitMs: LIMIT_MS, retryMs: RETRY_MS, now };
  const keys = createLastingCache<StoredKey>({ ...timing, freshMs: KEY_FRESH_MS });
  const lists = createLastingCache<readonly number[]>({ ...timing, freshMs: VERSIONS_FRESH_MS });

  const versions = (name: KeyName) => lists.get(slot(name), () => store.versions(name));
  const version = (name: KeyName, number: number) =>
    keys.get(versionSlot(name, number), () => store.open(name, number));

  return {
    version,
    newest: async (name) => {
      const [newest] = await versions(name);
      if (newest === undefined) throw wrongKey('The organisation has no such key here.');
      return version(name, newest);
    },
    all: async (name) => Promise.all((await versions(name)).map((number) => version(name, number))),
    ensure: async (name) => {
      if ((await store.versions(name)).length === 0) await store.create(name, 1);
      lists.forget(slot(name));
    },
    rotate: async (name) => {
      const [newest = 0] = await store.versions(name);
      const made = await store.create(name, newest + 1);
      lists.forget(slot(name));
      return made;
    },
    destroy: async (name, number) => {
      const live = await store.versions(name);
      if (!live.includes(number) || live[0] === number)
        throw wrongKey('Only an older version that is still there can be destroyed.');
      await store.destroy(name, number);
      lists.forget(slot(name));
      keys.forget(versionSlot(name, number));
    },
    check: async () => {
      keys.expire();
      try {
        await store.check();
      } catch (error) {
        if (!isOutage(error)) {
          keys.forget();
          lists.forget();
        }
        throw error;
      }
    },
  };
};
