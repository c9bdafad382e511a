import { randomUUID } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import type { SourceActor, UserActor } from '../../src/core/access.ts';
import type { SourceId } from '../../src/core/ids.ts';
import { parseMetadata } from '../../src/core/metadata.ts';
import { createLogger } from '../../src/logger.ts';
import { openResources, type Resources } from '../../src/resources.ts';
import type { Ingested } from '../../src/services/ingest-request.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { type Identity, newOrganisation } from '../support/identity.ts';
import { ROOMY } from '../support/scene.ts';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** Decision 0001 in one process, where a body stands still exactly as long as a test wants, and sweeps come when it wants. */
let folder: VaultFolder;
let resources: Resources;
let home: Awaited<ReturnType<typeof newOrganisation>>;
let actor: SourceActor;

beforeAll(async () => {
  folder = await newVaultFolder(ROOMY);
  resources = await openResources(readConfig(folder.env), 'serve', createLogger('silent'));
  await resources.announce('http://localhost');
  const identity = { services: resources.services, chosen: async () => undefined };
  home = await newOrganisation(identity as unknown as Identity);
});
beforeEach(async () => {
  const { source } = await home.newSource();
  const organisation = home.admin.actor.organisation as SourceActor['organisation'];
  actor = { type: 'source', id: source.id as SourceId, role: 'source', organisation, session: null };
});
afterAll(async () => {
  await resources?.close();
  await folder?.remove();
});

/** A body that stands still before its last bytes until it is let go on. */
const stallingBody = (audio: Buffer) => {
  let goOn = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  async function* body(): AsyncGenerator<Buffer> {
    yield Buffer.from(audio.subarray(0, -1_000));
    await gate;
    yield Buffer.from(audio.subarray(-1_000));
  }
  return { body: body(), goOn };
};

const audio = generatedCall(10, 3);

type Delivery = { readonly answer: Promise<Ingested>; readonly goOn: () => void };

/** Begins a delivery; it ends when it is let go on. */
const begin = (callId: string, content = audio): Delivery => {
  const { body, goOn } = stallingBody(content);
  const answer = resources.services.ingestRecording({
    actor,
    metadata: parseMetadata({ callId }, Date.now()),
    body,
    limits: { declaredBytes: content.length, declaredSha256: null, declaredMediaType: 'audio/wav' },
    request: randomUUID(),
    signal: new AbortController().signal,
  });
  answer.catch(() => undefined);
  return { answer, goOn };
};

const deliver = (callId: string, content = audio): Promise<Ingested> => {
  const { answer, goOn } = begin(callId, content);
  goOn();
  return answer;
};

type Upload = { readonly id: string; readonly status: string; readonly intent: string };

const uploads = async (): Promise<Upload[]> => {
  const text = `SELECT id::text, status, intent_id::text AS intent FROM recording WHERE source_id = $1 ORDER BY created_at`;
  return inDatabase(folder, async (client) => (await client.query<Upload>(text, [actor.id])).rows);
};

/** A delivery of which the vault has read all but the end. */
const stalled = async (callId: string, content = audio): Promise<Delivery & { readonly row: Upload }> => {
  const known = new Set((await uploads()).map(({ id }) => id));
  const delivery = begin(callId, content);
  let row: Upload | undefined;
  await until(async () => {
    row = (await uploads()).find(({ id }) => !known.has(id));
    return row !== undefined;
  });
  return { ...delivery, row: row as Upload };
};

/** What another process's sweeper does to drafts that were not written to for long; this one's leaves its own alone. */
const sweepDrafts = async (): Promise<void> => {
  const incoming = join(folder.dataDir, 'objects', 'incoming');
  for (const name of await readdir(incoming)) await rm(join(incoming, name));
};

/** How uploads ended, by recording. */
const endings = async (id: string): Promise<string[]> =>
  (await inspect(folder)).endings.filter(({ recording }) => recording === id).map(({ action }) => action);

const nothingStrays = async (): Promise<void> => {
  const { rows, objects, strays } = await inspect(folder);
  const living = rows.filter(({ status }) => status !== 'erased').map(({ object }) => object);
  expect(objects).toEqual(living.sort());
  expect(strays.filter((name) => !name.endsWith('.envelope'))).toEqual([]);
};

describe('a sleeper who wakes after the sweeper', () => {
  test('is told that it was given up; nothing of it stays; delivered again it is taken', async () => {
    const callId = randomUUID();
    const { answer, goOn, row } = await stalled(callId);
    expect(await resources.services.sweep(0)).toMatchObject({ removed: 1, stored: 0 });
    expect(await uploads()).toEqual([]);
    goOn();
    await expect(answer).rejects.toMatchObject({ code: 'request_timeout' });
    expect(await endings(row.id)).toEqual(['recording.abandoned']);
    await nothingStrays();
    expect((await deliver(callId)).created).toBe(true);
  });

  test('at any moment of its awakening: stored or given up, and the log, the row and the answer agree', async () => {
    const seen = new Set<string>();
    for (let round = 0; round < 30; round += 1) {
      const { answer, goOn, row } = await stalled(randomUUID());
      goOn();
      await sleep(round % 10);
      await Promise.all([resources.services.sweep(0), resources.services.sweep(0)]);
      const outcome = await answer.then(
        ({ created }) => ({ created }),
        (error: { code: string }) => ({ code: error.code }),
      );
      const told = await endings(row.id);
      const kept = (await uploads()).find(({ id }) => id === row.id)?.status;
      seen.add(told.join());
      if (told[0] === 'recording.stored')
        expect([outcome, told, kept]).toEqual([{ created: true }, ['recording.stored'], 'stored']);
      else
        expect([outcome, told, kept]).toEqual([
          { code: 'request_timeout' },
          ['recording.abandoned'],
          undefined,
        ]);
    }
    expect(seen.has('recording.abandoned')).toBe(true);
    await nothingStrays();
  });

  test('whose draft was swept as well finds nothing to finish', async () => {
    const { answer, goOn, row } = await stalled(randomUUID());
    await resources.services.sweep(0);
    await sweepDrafts();
    goOn();
    await expect(answer).rejects.toMatchObject({ code: 'storage_unavailable' });
    expect(await endings(row.id)).toEqual(['recording.abandoned']);
    expect(await uploads()).toEqual([]);
    await nothingStrays();
  });

  test('two sweepers at once give one up once', async () => {
    const { answer, goOn, row } = await stalled(randomUUID());
    await Promise.all([
      resources.services.sweep(0),
      resources.services.sweep(0),
      resources.services.sweep(0),
    ]);
    expect(await endings(row.id)).toEqual(['recording.abandoned']);
    goOn();
    await expect(answer).rejects.toMatchObject({ code: 'request_timeout' });
    await nothingStrays();
  });
});

describe('two equal deliveries at once', () => {
  test('the one that is slower is answered with the recording of the other', async () => {
    const callId = randomUUID();
    const slow = await stalled(callId);
    const first = await deliver(callId);
    expect(first.created).toBe(true);
    slow.goOn();
    expect(await slow.answer).toMatchObject({ created: false, id: first.id, sha256: first.sha256 });
    expect(await uploads()).toMatchObject([{ id: first.id, status: 'stored' }]);
    expect(await endings(slow.row.id)).toEqual(['recording.refused']);
    await nothingStrays();
  });

  test('of other content the slower one is a conflict', async () => {
    const callId = randomUUID();
    const slow = await stalled(callId, generatedCall(10, 4));
    const first = await deliver(callId);
    slow.goOn();
    await expect(slow.answer).rejects.toMatchObject({ code: 'conflict' });
    expect(await endings(first.id)).toEqual(['recording.stored', 'recording.refused']);
    expect(await uploads()).toMatchObject([{ id: first.id, status: 'stored' }]);
    await nothingStrays();
  });

  test('G-2 when the other’s recording was erased meanwhile, the slower one is refused', async () => {
    const callId = randomUUID();
    const slow = await stalled(callId);
    const first = await deliver(callId);
    await resources.services.eraseRecording({
      actor: home.admin.actor as UserActor,
      recordingId: first.id,
      decisionReference: null,
      reason: 'retention',
      request: randomUUID(),
    });
    slow.goOn();
    await expect(slow.answer).rejects.toMatchObject({ code: 'erased' });
    expect(await uploads()).toMatchObject([{ id: first.id, status: 'erased' }]);
    await nothingStrays();
  });
});

describe('several equal deliveries at once', () => {
  test('five at once, let go at once: one recording, and every one knows it', async () => {
    const callId = randomUUID();
    const all: Delivery[] = [];
    for (let n = 0; n < 5; n += 1) all.push(await stalled(callId));
    for (const { goOn } of all) goOn();
    const answers = await Promise.allSettled(all.map(({ answer }) => answer));
    const [row, ...more] = await uploads();
    expect([row?.status, more]).toEqual(['stored', []]);
    const created = answers.filter((one) => one.status === 'fulfilled' && one.value.created);
    expect(created).toHaveLength(1);
    for (const answer of answers)
      if (answer.status === 'fulfilled') expect(answer.value.id).toBe(row?.id);
      else expect(answer.reason).toMatchObject({ code: 'in_progress', extras: { retryAfter: 5 } });
    await nothingStrays();
  });

  test('while the other is in its last steps it is to come back later, and then finds it', async () => {
    const callId = randomUUID();
    const { answer, goOn, row } = await stalled(callId);
    await inDatabase(
      folder,
      async (client) => {
        // The append function waits for this lock: the upload stands between its sealed row and its entry.
        await client.query('SELECT pg_advisory_lock(4850752217034121216)');
        goOn();
        await until(async () =>
          (await uploads()).some(({ id, status }) => id === row.id && status === 'sealed'),
        );
        await expect(deliver(callId)).rejects.toMatchObject({
          code: 'in_progress',
          extras: { retryAfter: 5 },
        });
      },
      'superuser',
    );
    expect(await answer).toMatchObject({ created: true, id: row.id });
    expect(await deliver(callId)).toMatchObject({ created: false, id: row.id });
    await nothingStrays();
  });
});
