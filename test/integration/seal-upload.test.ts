import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import type { GenerationId, RecordingId } from '../../src/core/ids.ts';
import { decodeEnvelope } from '../../src/crypto/envelope.ts';
import { createSealUpload, type SealUploadDeps } from '../../src/services/seal-upload.ts';
import { createUploadStream } from '../../src/services/upload-stream.ts';
import { envelopeKeyOf, objectKeyOf } from '../../src/storage/object-key.ts';
import { wavFile } from '../support/audio-files.ts';
import { inChunks } from '../support/byte-streams.ts';
import { openFileStore } from '../support/file-store.ts';
import { createFlakyObjectStore, type Fault } from '../support/flaky-object-store.ts';
import { sampleBytes } from '../support/object-bodies.ts';
import { fetched, never, rejection } from '../support/opened-store.ts';
import { createVaultKeys } from '../support/vault-keys.ts';

/** Sealing on a file store and a key ring of the test's own. The row is not asked for here. */
const open = async (...faults: readonly Fault[]) => {
  const opened = await openFileStore();
  onTestFinished(() => opened.close());
  const { ring, organisation } = await createVaultKeys();
  const flaky = createFlakyObjectStore(opened.store, faults);
  const { object } = createSealUpload({
    objects: flaky.store,
    objectKeyOf,
    envelopeKeyOf,
    keyRing: ring,
    now: Date.now,
  } as Partial<SealUploadDeps> as SealUploadDeps);
  const generation = randomUUID() as GenerationId;
  const key = objectKeyOf(organisation, generation);
  const audio = wavFile({ data: sampleBytes(200_000) });
  const limits = { declaredBytes: audio.length, declaredSha256: null, declaredMediaType: null };
  const seal = (over: Partial<Parameters<typeof createUploadStream>[1]> = {}, signal = never()) =>
    object(
      {
        id: randomUUID() as RecordingId,
        generation,
        intentId: randomUUID(),
        organisationId: organisation,
        sourceId: randomUUID(),
        unitId: null,
        subject: null,
      },
      createUploadStream(inChunks(audio, 10_000) as AsyncIterable<Buffer>, {
        maxBytes: 1e9,
        ...limits,
        ...over,
      }),
      {
        limits: { declaredBytes: audio.length, declaredSha256: null, declaredMediaType: null },
        signal,
      },
    );
  const left = async (): Promise<string[]> =>
    (await Array.fromAsync(opened.store.list())).map((one) => one.key);
  return { ...opened, flaky, seal, key, copyKey: envelopeKeyOf(organisation, generation), left };
};

test('object and copy are there when sealing resolves, and say the same', async () => {
  const { seal, store, key, copyKey, left, leftovers } = await open();
  const envelope = await seal();
  const { wrap: _wrap, ...facts } = envelope;
  expect(decodeEnvelope(await fetched(store, copyKey))).toEqual(facts);
  expect(await left()).toEqual([key, copyKey]);
  expect(await leftovers()).toEqual([]);
});

test('an upload whose object is not stored: nothing writes the copy any more once that is told', async () => {
  const { seal, flaky, copyKey, left } = await open({ on: 'put', how: 'lose answer' });
  expect(await rejection(seal())).toMatchObject({ code: 'storage_unavailable' });
  expect(flaky.pending()).toBe(0);
  const told = await left();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await left()).toEqual(told);
  await flaky.store.delete(copyKey);
  expect(await left()).not.toContain(copyKey);
});

test.each<Fault['how']>(['refuse', 'lose answer'])(
  'a copy that cannot be stored (%s) is an upload that failed',
  async (how) => {
    const { seal, flaky, key } = await open();
    // The first put is the object's.
    const put = flaky.store.put;
    let puts = 0;
    flaky.store.put = (...asked) => {
      puts += 1;
      if (puts === 2) flaky.plan({ on: 'put', how } as Fault);
      return put(...asked);
    };
    expect(await rejection(seal())).toMatchObject({ code: 'storage_unavailable' });
    expect(puts).toBe(2);
    expect(await flaky.store.head(key)).not.toBeNull();
  },
);

test('an upload that turns out wrong at its end never gets a copy', async () => {
  const { seal, left, leftovers } = await open();
  const wrong = seal({ declaredSha256: Buffer.alloc(32) });
  expect(await rejection(wrong)).toMatchObject({ code: 'digest_mismatch' });
  expect(await left()).toEqual([]);
  expect(await leftovers()).toEqual([]);
});

test('one called off in the middle leaves neither', async () => {
  const { seal, left, leftovers } = await open();
  const reason = new Error('gone');
  expect(await rejection(seal({}, AbortSignal.abort(reason)))).toBe(reason);
  expect(await left()).toEqual([]);
  expect(await leftovers()).toEqual([]);
});
