import { randomUUID } from 'node:crypto';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SourceActor } from '../../src/core/access.ts';
import { observeRecordings } from '../../src/http/plugins/recording-metrics.ts';
import { type ClockedServices, openClockedServices } from '../support/clocked-services.ts';
import { openFileStore } from '../support/file-store.ts';
import { generatedCall } from '../support/generated-call.ts';
import { type Identity, newOrganisation, startIdentity } from '../support/identity.ts';

/** `callvault_recordings_flagged_total` has every recording once, also what becomes one while nobody waits for an answer. */
let identity: Identity;
let objects: Awaited<ReturnType<typeof openFileStore>>;
let one: ClockedServices;
let actor: SourceActor;

beforeAll(async () => {
  identity = await startIdentity();
  objects = await openFileStore();
  one = await openClockedServices(identity, { objects: objects.store, host: 'localhost:1', ca: '' });
  const home = await newOrganisation(identity);
  const { source } = await home.newSource();
  actor = {
    ...{ type: 'source', role: 'source', session: null, id: source.id as SourceActor['id'] },
    organisation: home.caller().actor.organisation as SourceActor['organisation'],
  };
});
afterAll(async () => {
  await one?.close();
  await identity?.close();
  await objects?.close();
});

const counted = async (): Promise<number> => {
  const registry = new Registry();
  observeRecordings(registry, one.services);
  const text = await registry.metrics();
  // Told twice, it is the same.
  expect(await registry.metrics()).toBe(text);
  return Number(/^callvault_recordings_flagged_total\{flag="no_care_unit"\} (\d+)$/m.exec(text)?.[1] ?? 0);
};
const begin = async (bytes: Buffer): Promise<string> => {
  const fields = { callId: randomUUID() };
  const facts = { fields, mediaType: 'audio/wav' };
  const { resumableUploads } = one.services;
  return (await resumableUploads.begin({ actor, length: bytes.length, facts, request: randomUUID() })).id;
};
const append = (uploadId: string, bytes: Buffer, offset = 0) =>
  one.services.resumableUploads.append({
    ...{ actor, uploadId, request: randomUUID(), offset, sha256: null, declaredBytes: null },
    body: async function* () {
      yield Buffer.from(bytes);
    },
  });

test('an upload that its source did not see the end of is counted when the sweeper makes it a recording, once', async () => {
  const bytes = generatedCall(1, 51_001);
  const id = await begin(bytes);
  expect(await counted()).toBe(0);
  await identity.stopLog();
  try {
    await expect(append(id, bytes)).rejects.toMatchObject({ code: 'log_unavailable' });
  } finally {
    await identity.resumeLog();
  }
  await expect.poll(() => identity.audit.state()).toBe('ready');
  expect(await counted()).toBe(0);
  identity.clock.advance(3_600_000);
  await one.services.resumableUploads.sweep(60_000);
  expect(await counted()).toBe(1);
  await one.services.resumableUploads.sweep(60_000);
  const told = await one.services.resumableUploads.tell({ actor, uploadId: id, request: randomUUID() });
  expect(told.recording).not.toBeNull();
  expect(await counted()).toBe(1);
});

test('one that its source waits for is counted as well, and a repetition is not', async () => {
  const before = await counted();
  const bytes = generatedCall(1, 51_002);
  const id = await begin(bytes);
  await append(id, bytes);
  expect(await counted()).toBe(before + 1);
  await append(id, Buffer.alloc(0), bytes.length);
  expect(await counted()).toBe(before + 1);
});
