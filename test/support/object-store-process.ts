/**
 * A process of its own around an object store, for tests that kill it or measure it:
 * `node object-store-process.ts <mode> <key> (file <root> | s3 <bucket>)`. Says one line of JSON when it has got somewhere.
 */
import { readFileSync } from 'node:fs';
import { createFileObjectStore } from '../../src/storage/file-object-store.ts';
import type { ObjectKey, ObjectStore } from '../../src/storage/object-store.ts';
import { createS3ObjectStore } from '../../src/storage/s3-object-store.ts';
import { asSealed, sampleBytes, stallingAfter } from './object-bodies.ts';
import { s3Settings } from './s3-bucket.ts';

const MiB = 1024 ** 2;
const [mode, name, kind, place] = process.argv.slice(2) as [string, string, string, string];
const key = name as ObjectKey;
const signal = new AbortController().signal;

const say = (what: object): void => {
  process.stdout.write(`${JSON.stringify(what)}\n`);
};

const open = async (): Promise<ObjectStore> =>
  kind === 's3'
    ? createS3ObjectStore({ ...s3Settings(), bucket: place })
    : createFileObjectStore({ root: place, freeBytesFloor: 0 });

/** Largest resident size of this process so far, in MiB. */
const peakMiB = (): number =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;

/** New buffers all the time, as sealing makes them. */
async function* zeros(length: number): AsyncGenerator<Uint8Array, void, void> {
  for (let left = length; left > 0; left -= 65_536) yield Buffer.alloc(Math.min(left, 65_536));
}

const roundTrip = async (store: ObjectStore, length: number, declared: boolean): Promise<void> => {
  await store.put(key, zeros(length), declared ? { bytes: length, signal } : { signal });
  let received = 0;
  for await (const chunk of (await store.get(key, { signal })).body) received += chunk.length;
  if (received !== length) throw new Error(`received ${received} of ${length} bytes`);
  await store.delete(key);
};

const modes: Record<string, (store: ObjectStore) => Promise<void>> = {
  /** Sends half an object and waits for more that never comes. */
  half: async (store) => {
    const { body, stalled } = stallingAfter(2 * MiB);
    void stalled.then(() => say({ half: true }));
    await store.put(key, body, { bytes: 4 * MiB, signal });
  },
  /** The same in parts, without saying how much there is to come. */
  'half-unknown': async (store) => {
    const { body, stalled } = stallingAfter(20 * MiB);
    void stalled.then(() => say({ half: true }));
    await store.put(key, body, { signal });
  },
  /** Stores an object, says so, and waits to be killed. */
  whole: async (store) => {
    await store.put(key, asSealed(sampleBytes(4 * MiB)), { bytes: 4 * MiB, signal });
    say({ stored: true });
    setInterval(() => undefined, 1000);
  },
  /** Says how an object of 8 MiB fares. */
  attempt: async (store) => {
    const outcome = store.put(key, asSealed(sampleBytes(8 * MiB)), { bytes: 8 * MiB, signal });
    say(
      await outcome.then(
        () => ({ code: null }),
        ({ code, cause }) => ({ code, cause: cause?.code }),
      ),
    );
  },
  /** Says by how much the peak grows when 2 GiB go in and out, after 32 MiB have. */
  memory: async (store) => {
    await roundTrip(store, 32 * MiB, true);
    await roundTrip(store, 32 * MiB, false);
    const before = peakMiB();
    await roundTrip(store, 2048 * MiB, true);
    say({ growthMiB: peakMiB() - before });
  },
  /** The same for an object whose length nobody knows beforehand. */
  'memory-unknown': async (store) => {
    await roundTrip(store, 32 * MiB, false);
    const before = peakMiB();
    await roundTrip(store, 2048 * MiB, false);
    say({ growthMiB: peakMiB() - before });
  },
};

const store = await open();
await modes[mode]!(store);
await store.close();
