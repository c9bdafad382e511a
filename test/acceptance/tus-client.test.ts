import { randomBytes, randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as tusClient from 'tus-js-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wavFile } from '../support/audio-files.ts';
import { type Call, type CareLine, type CareLineVault, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { createFlakyProxy } from '../support/flaky-proxy.ts';
import { jsonOf } from '../support/http-client.ts';
import { createTus, locationOf, recordingOf, type Tus } from '../support/tus.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** The client that everybody uses, over lines that break and against a vault that is killed. */
let world: CareLineVault;
let line: CareLine;
let tus: Tus;

beforeAll(async () => {
  world = await startCareLine();
  ({ line } = world);
  tus = createTus(line.http, line.apiKey);
});
afterAll(() => world?.folder.remove());

const MB = 1_000_000;

/** As much sound per second as there is, because a whole recording is sent at eight times the pace at which it is heard. */
const newCall = (bytes: number): Call => ({
  callId: randomUUID(),
  audio: wavFile({ data: randomBytes(bytes), rate: 96_000, channels: 2, bits: 24 }),
});

type Answer = { readonly method: string; readonly status: number; readonly offset: number | null };

/** Uploads to its end, however often it has to resume; rejects when the client gives up. */
const uploadAll = (audio: Buffer, callId: string, options: { endpoint: string; chunkSize?: number }) => {
  const answers: Answer[] = [];
  let recording: string | undefined;
  const done = new Promise<void>((resolve, reject) => {
    const upload = new tusClient.Upload(audio, {
      ...options,
      retryDelays: Array.from({ length: 200 }, () => 200),
      headers: { authorization: `Bearer ${line.apiKey}` },
      metadata: { callId, filename: `${callId}.wav`, filetype: 'audio/wav', callerNumber: '070-174 06 15' },
      onAfterResponse: (request, response) => {
        const offset = response.getHeader('upload-offset');
        const answer = { method: request.getMethod(), status: response.getStatus() };
        answers.push({ ...answer, offset: offset === undefined ? null : Number(offset) });
        recording = response.getHeader('callvault-recording') ?? recording;
      },
      onError: reject,
      onSuccess: () => resolve(),
    });
    upload.start();
  });
  done.catch(() => undefined);
  return { answers, done, recording: () => recording ?? '' };
};

/** How often each method was answered with each status. */
const counted = (answers: readonly Answer[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { method, status } of answers)
    counts[`${method} ${status}`] = (counts[`${method} ${status}`] ?? 0) + 1;
  return counts;
};

const received = async (): Promise<number> =>
  inDatabase(world.folder, async (client) => {
    const { rows } = await client.query<{ received: number }>(
      'SELECT received::int FROM resumable_upload WHERE recording_id IS NULL ORDER BY created_at DESC LIMIT 1',
    );
    return rows[0]?.received ?? 0;
  });

/** Neither rows nor files of parts are left, and each object is of a recording. */
const nothingLeft = async (): Promise<void> => {
  const parts = await inDatabase(world.folder, async (client) =>
    Number((await client.query('SELECT 1 FROM upload_part')).rowCount),
  );
  const names = await readdir(join(world.folder.dataDir, 'objects'), { recursive: true });
  expect({ parts, files: names.filter((name) => name.endsWith('.part')) }).toEqual({ parts: 0, files: [] });
  const { rows, objects } = await inspect(world.folder);
  expect(objects).toEqual(rows.map(({ object }) => object).sort());
};

test('20 MB over a line that is cut every few hundred kilobytes: every byte, and none of them twice', async () => {
  const proxy = await createFlakyProxy(line.http.url);
  const call = newCall(20 * MB);
  let cuts = 0;
  const strike = (): void =>
    proxy.setFault({ direction: 'request', after: 250_000 + ((cuts * 137_911) % 400_000), how: 'reset' });
  strike();
  const rearming = setInterval(() => {
    if (proxy.struck() === 0) return;
    cuts += 1;
    strike();
  }, 5);
  try {
    const upload = uploadAll(call.audio, call.callId, { endpoint: `${proxy.endpoint}/v1/uploads` });
    await upload.done;
    expect(cuts).toBeGreaterThan(25);
    const resumed = upload.answers.filter(({ method, status }) => method === 'HEAD' && status === 200);
    const offsets = resumed.map(({ offset }) => offset ?? -1);
    expect(offsets.length).toBeGreaterThan(25);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    // Hardly anything of what got through was sent again: as many pieces as cuts carried the whole.
    expect(new Set(offsets).size).toBeGreaterThan(offsets.length / 2);
    expect((await line.hear(upload.recording())).equals(call.audio)).toBe(true);
  } finally {
    clearInterval(rearming);
    await proxy.close();
  }
  await nothingLeft();
});

test.each([
  ['in pieces of a megabyte', 1 * MB, 5 * MB],
  ['in one long request', undefined, 8 * 1024 * 1024],
])(
  'SIGKILL of the vault in the middle, %s: what was acknowledged is not sent again',
  async (_how, chunkSize, enough) => {
    const proxy = await createFlakyProxy(line.http.url);
    const call = newCall(20 * MB);
    // Nothing gets beyond, so that the vault is killed before the end.
    proxy.setFault({ direction: 'request', after: 14 * MB, how: 'stall' });
    const endpoint = `${proxy.endpoint}/v1/uploads`;
    const upload = uploadAll(
      call.audio,
      call.callId,
      chunkSize === undefined ? { endpoint } : { endpoint, chunkSize },
    );
    await until(async () => (await received()) >= enough);
    const kept = await received();
    await world.vault.kill();
    proxy.setFault(null);
    proxy.cut();
    world = { ...world, vault: await world.folder.start() };
    await upload.done;
    const [resumed] = upload.answers.filter(({ method, status }) => method === 'HEAD' && status === 200);
    expect(resumed?.offset).toBeGreaterThanOrEqual(kept);
    expect((await line.hear(upload.recording())).equals(call.audio)).toBe(true);
    await proxy.close();
    await nothingLeft();
  },
);

/** The statement by which an upload becomes a recording fails, as if the vault had died right before it. */
const dying = (sql: 'CREATE' | 'DROP') =>
  inDatabase(
    world.folder,
    (client) =>
      client.query(
        sql === 'DROP'
          ? 'DROP TRIGGER dying ON resumable_upload; DROP FUNCTION dying()'
          : `CREATE FUNCTION dying() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'died'; END $$;
             CREATE TRIGGER dying BEFORE UPDATE OF recording_id ON resumable_upload FOR EACH ROW EXECUTE FUNCTION dying()`,
      ),
    'superuser',
  );

const statusOf = async (id: string): Promise<string> =>
  jsonOf<{ status: string }>(await line.http.get(`/v1/recordings/${id}/status`, { token: line.apiKey }), 200)
    .status;

test.each(['asked by its source', 'met at the next start'])(
  'dead between the recording and the end of its upload, and %s: one recording, and it is that one',
  async (how) => {
    const call = newCall(300_000);
    const before = (await inspect(world.folder)).rows.length;
    const path = locationOf(await tus.begin(call.audio.length, { callId: call.callId }));
    await dying('CREATE');
    const last = await tus.patch(path, 0, call.audio);
    // Whole, and not yet a recording: nobody is told that it is here, nor that it is gone.
    expect((await tus.head(path)).status).toBe(423);
    await dying('DROP');
    expect(last.status).toBe(500);
    if (how === 'met at the next start') {
      await world.vault.kill();
      world = { ...world, vault: await world.folder.start() };
      await nothingLeft();
    }
    const told = await tus.head(path);
    expect(told.headers['upload-offset']).toBe(String(call.audio.length));
    const id = recordingOf(told) ?? '';
    expect(await statusOf(id)).toBe('stored');
    expect((await line.hear(id)).equals(call.audio)).toBe(true);
    expect((await inspect(world.folder)).rows).toHaveLength(before + 1);
    await nothingLeft();
  },
);

test('killed again and again while twenty megabytes come: nothing acknowledged is lost, and the call is there once', async () => {
  const call = newCall(20 * MB);
  const upload = uploadAll(call.audio, call.callId, {
    endpoint: `${line.http.url}/v1/uploads`,
    chunkSize: 2 * MB,
  });
  let over = false;
  const finished = upload.done.finally(() => {
    over = true;
  });
  finished.catch(() => undefined);
  for (let death = 0; death < 4 && !over; death += 1) {
    await sleep(100 + death * 170);
    await world.vault.kill();
    world = { ...world, vault: await world.folder.start() };
  }
  await finished;
  const acknowledged = upload.answers.flatMap(({ status, offset }) =>
    status < 300 && offset !== null ? [offset] : [],
  );
  expect(acknowledged).toEqual(acknowledged.toSorted((a, b) => a - b));
  const again = await line.deliver({ ...call, callId: call.callId });
  expect(again.status).toBe(200);
  const { id } = jsonOf<{ id: string }>(again);
  expect((await line.hear(id)).equals(call.audio)).toBe(true);
  await nothingLeft();
});

describe('other content under a call that is stored is sent once, and no more', () => {
  test.each([
    ['in one request', undefined, 1],
    ['in pieces', 1 * MB, 3],
  ])('%s', async (_how, chunkSize, pieces) => {
    const call = newCall(1_000_000);
    const endpoint = `${line.http.url}/v1/uploads`;
    await uploadAll(call.audio, call.callId, { endpoint }).done;
    const other = newCall(2_500_000);
    const upload = uploadAll(
      other.audio,
      call.callId,
      chunkSize === undefined ? { endpoint } : { endpoint, chunkSize },
    );
    await expect(upload.done).rejects.toThrow('"code":"conflict"');
    expect(counted(upload.answers)).toEqual({
      'POST 201': 1,
      ...(pieces === 1 ? {} : { 'PATCH 204': pieces - 1 }),
      'PATCH 422': 1,
    });
    await nothingLeft();
  });

  test('nor when there is none of it', async () => {
    const call = newCall(1_000_000);
    const endpoint = `${line.http.url}/v1/uploads`;
    await uploadAll(call.audio, call.callId, { endpoint }).done;
    const upload = uploadAll(Buffer.alloc(0), call.callId, { endpoint });
    await expect(upload.done).rejects.toThrow('"code":"conflict"');
    expect(counted(upload.answers)).toEqual({ 'POST 422': 1 });
    await nothingLeft();
  });
});
