import type { bundleKeyParts } from '../storage/object-key.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { WrappedKeyTable } from '../storage/wrapped-key-table.ts';
import { AHEAD_MS } from './export-keys.ts';

/** So many periods without a new bundle: it is not made late, it is not made. */
const PERIODS = 3;
/** A listing is believed this long: somebody may ask every few seconds, and a bucket counts every question. */
const FRESH_MS = 60_000;

export type KeyBundleAgeDeps = {
  readonly objects: Pick<ObjectStore, 'bundles'>;
  readonly bundleKeyParts: typeof bundleKeyParts;
  readonly wrappedKeys: Pick<WrappedKeyTable, 'page'>;
  /** How often a bundle is made. */
  readonly everyMs: number;
  /** Since when this process could have made one, in milliseconds since 1970; null: it makes none. */
  readonly since: number | null;
  readonly now: () => number;
};

/** Whether bundles of wrapped keys are still being made, without which recordings are lost with their database. */
export const createKeyBundleAge = (deps: KeyBundleAgeDeps) => {
  const { objects, everyMs, since, now } = deps;
  let known: { at: number; newest: Promise<number | null> } | null = null;

  const look = async (): Promise<number | null> => {
    let newest: number | null = null;
    for await (const { key } of objects.bundles()) {
      const at = deps.bundleKeyParts(key)?.at;
      // What claims to be of the future was made by a clock that was wrong.
      if (at !== undefined && at <= now() + AHEAD_MS) newest = Math.max(newest ?? 0, at);
    }
    return newest;
  };

  /** When the newest bundle was made, in milliseconds since 1970; null when there is none. Rejects as the store does. */
  const newest = (): Promise<number | null> => {
    if (known === null || now() - known.at > FRESH_MS) {
      const asked = { at: now(), newest: look() };
      known = asked;
      asked.newest.catch(() => {
        if (known === asked) known = null;
      });
    }
    return known.newest;
  };

  return {
    newest,

    /** `old` when the newest is, or there has been time enough for a first one; null when all is in order. */
    async fault(): Promise<'old' | null> {
      const at = await newest();
      // A vault that was off for a week is given the time to make one.
      const from = Math.max(at ?? 0, since ?? (at === null ? now() : 0));
      if (now() - from <= PERIODS * everyMs) return null;
      return at === null && (await deps.wrappedKeys.page(null, 1)).length === 0 ? null : 'old';
    },
  };
};

export type KeyBundleAge = ReturnType<typeof createKeyBundleAge>;
