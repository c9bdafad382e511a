import { isOutage } from './key-store.ts';

export type LastingCacheOptions = {
  /** How long a value serves without asking again. */
  readonly freshMs: number;
  /** How long after it was last loaded a value may serve while its source is unavailable. */
  readonly limitMs: number;
  /** How long an outage is believed before the source is asked again. */
  readonly retryMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

export type LastingCache<T> = {
  /**
   * The value of `name`, loaded at most once at a time. While the source is unavailable (`keys_unavailable`, not denied)
   * the last value serves up to the limit; any other failure drops it and is thrown. Failures are never remembered.
   */
  readonly get: (name: string, load: () => Promise<T>) => Promise<T>;
  /** Drops one value, or all; what is being loaded now is handed to those who wait for it, but not kept. */
  readonly forget: (name?: string) => void;
  /** Lets go of values that are past the limit and that nobody has asked for since. */
  readonly expire: () => void;
};

type Entry<T> = { readonly value: T; readonly loadedAt: number; freshUntil: number };

export const createLastingCache = <T>(options: LastingCacheOptions): LastingCache<T> => {
  const { freshMs, limitMs, retryMs, now } = options;
  const entries = new Map<string, Entry<T>>();
  const loading = new Map<string, Promise<T>>();

  const loadOnce = (name: string, load: () => Promise<T>): Promise<T> => {
    const running = loading.get(name);
    if (running !== undefined) return running;
    const kept = (): boolean => loading.get(name) === started;
    const started: Promise<T> = load()
      .then((value) => {
        const loadedAt = now();
        if (kept()) entries.set(name, { value, loadedAt, freshUntil: loadedAt + freshMs });
        return value;
      })
      .finally(() => {
        if (kept()) loading.delete(name);
      });
    loading.set(name, started);
    return started;
  };

  /** A clock that was set back proves nothing about age: such a value is asked for again. */
  const within = (entry: Entry<T>, until: number): boolean => now() >= entry.loadedAt && now() < until;

  return {
    get: async (name, load) => {
      const known = entries.get(name);
      if (known !== undefined && within(known, known.freshUntil)) return known.value;
      try {
        return await loadOnce(name, load);
      } catch (error) {
        const last = entries.get(name);
        if (last !== undefined && isOutage(error) && within(last, last.loadedAt + limitMs)) {
          last.freshUntil = Math.min(now() + retryMs, last.loadedAt + limitMs);
          return last.value;
        }
        entries.delete(name);
        throw error;
      }
    },
    forget: (name) => {
      if (name === undefined) {
        entries.clear();
        loading.clear();
        return;
      }
      entries.delete(name);
      loading.delete(name);
    },
    expire: () => {
      for (const [name, entry] of entries) if (!within(entry, entry.loadedAt + limitMs)) entries.delete(name);
    },
  };
};
