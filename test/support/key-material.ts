import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { GenerationId, OrganisationId, RecordingId } from '../../src/core/ids.ts';
import type { ObjectIdentity } from '../../src/crypto/envelope.ts';
import { createKeyCache } from '../../src/crypto/key-cache.ts';
import type { KeyStore } from '../../src/crypto/key-store.ts';
import { openKeyFolder } from '../../src/keys/key-folder.ts';

export const newIdentity = (over: Partial<ObjectIdentity> = {}): ObjectIdentity => ({
  organisation: randomUUID() as OrganisationId,
  recording: randomUUID() as RecordingId,
  generation: randomUUID() as GenerationId,
  ...over,
});

/** A folder of the test's own, mode 0700, gone when the test has finished. */
export const temporaryFolder = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'callvault-keys-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
};

/** A clock that stands until it is moved. */
export const createClock = (start = Date.UTC(2026, 10, 21)) => {
  let at = start;
  return {
    now: () => at,
    advance: (ms: number) => {
      at += ms;
    },
  };
};

/**
 * The real store between a tap and the test: counts what is asked, fails while `failure` is set, and waits while `gate`
 * is closed.
 */
export const withTap = (store: KeyStore) => {
  const tap = {
    opened: 0,
    listed: 0,
    failure: null as Error | null,
    gate: null as Promise<void> | null,
  };
  const pass = async <T>(work: () => Promise<T>): Promise<T> => {
    const { gate, failure } = tap;
    if (gate !== null) await gate;
    if (failure !== null) throw failure;
    return work();
  };
  const tapped: KeyStore = {
    open: (name, version) => {
      tap.opened += 1;
      return pass(() => store.open(name, version));
    },
    versions: (name) => {
      tap.listed += 1;
      return pass(() => store.versions(name));
    },
    create: (name, version) => pass(() => store.create(name, version)),
    destroy: (name, version) => pass(() => store.destroy(name, version)),
    check: () => pass(() => store.check()),
  };
  return { store: tapped, tap };
};

/** A new key folder on disk with everything above it that a vault has in memory. */
export const createKeyMaterial = async () => {
  const clock = createClock();
  const directory = await temporaryFolder();
  const folder = await openKeyFolder({ directory, create: true, now: clock.now });
  const { store, tap } = withTap(folder.store);
  return { clock, directory, folder, store, tap, keys: createKeyCache({ store, now: clock.now }) };
};
