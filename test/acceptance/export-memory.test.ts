import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { peakMiBWhile, residentMiB } from '../support/resident-memory.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** Memory of the vault's own process while somebody takes a large part of the access log, and takes his time. */
const ENTRIES = 80_000;
const BATCH = 4_000;
/** Whoever holds an answer before it is taken holds all of it; what else a large one costs was below a fifth when it was measured. */
const MOST_SHARE = 0.6;
/** Several times what the buffers of both ends of a connection hold. */
const LEAST_BYTES = 45_000_000;
/** As long as one may be. */
const REASON = 200;

let world: CareLineVault;
let token: string;
beforeAll(async () => {
  world = await startCareLine();
  const { line, folder } = world;
  const opened = await line.http.post(`/v1/recordings/${await line.store(newCall(20_000))}/playbacks`, {
    token: await line.nurse.token(),
    json: {
      purpose: 'complaint',
      reason: 'she says that nobody asked her about the medicine. '.repeat(12).slice(0, REASON),
    },
  });
  expect(opened.status).toBe(201);
  token = await line.compliance.token();
  await inDatabase(
    folder,
    async (superuser) => {
      for (let done = 0; done < ENTRIES; done += BATCH) await superuser.query(REPEAT, [BATCH]);
      await superuser.query('ANALYZE audit.entry; ANALYZE audit.leaf');
    },
    'superuser',
  );
}, 120_000);
afterAll(() => world?.folder.remove());

/** The entry of one playback again and again, each time with an id of its own, by the function by which everybody appends. */
const REPEAT = `SELECT audit.append('seed', (SELECT max(size) FROM audit.batch), array_agg(salt), array_agg(body)) FROM (
  SELECT sha256(uuid_send(gen_random_uuid())) AS salt, replace(e.body, (e.facts).event_id::text, gen_random_uuid()::text) AS body
    FROM (SELECT * FROM audit.entry WHERE (facts).action = 'playback.opened' ORDER BY seq LIMIT 1) AS e,
         generate_series(1, $1::int)) AS made`;

/** Which connections of the vault read what is given. */
type Reads = 'callvault log evidence' | 'callvault log reader';
type Asked = {
  readonly path: string;
  readonly json?: object;
  readonly reads: Reads;
  /** After so many milliseconds the reader leaves. */
  readonly upTo?: number;
};
type Taken = { readonly bytes: number; readonly end: string; readonly whole: boolean };

/** When the vault last asked its database for something that is given so. */
const lastAsked = (reads: Reads): Promise<string> =>
  inDatabase(
    world.folder,
    async (superuser) => {
      const text = `SELECT coalesce(max(query_start), 'epoch')::text AS at FROM pg_stat_activity WHERE application_name = $1`;
      return (await superuser.query<{ at: string }>(text, [reads])).rows[0]!.at;
    },
    'superuser',
  );

/** Resolves when the vault has asked for nothing more for a second, because it waits or because it has everything. */
const rest = async (reads: Reads): Promise<void> => {
  for (let before = '', now = await lastAsked(reads); now !== before; ) {
    await sleep(1_000);
    [before, now] = [now, await lastAsked(reads)];
  }
};

/** Takes a first piece, then nothing until the vault rests, then what is left. */
const takeFrom = async (answer: IncomingMessage, { upTo, reads }: Asked): Promise<Taken> => {
  if (answer.statusCode !== 200) throw new Error(`answered ${answer.statusCode}`);
  const until = upTo === undefined ? Number.POSITIVE_INFINITY : performance.now() + upTo;
  let [bytes, end] = [0, ''];
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    if (bytes === 0 && upTo === undefined) await rest(reads);
    bytes += chunk.length;
    end = (end + chunk.toString('latin1')).slice(-200);
    if (performance.now() > until) return { bytes, end, whole: false };
  }
  return { bytes, end, whole: true };
};

/** Throws unless the answer begins with 200. */
const take = (asked: Asked): Promise<Taken> =>
  new Promise((resolve, reject) => {
    const { path, json } = asked;
    const sent = request(
      `${world.vault.url}/v1/audit/${path}`,
      { agent: false, method: json === undefined ? 'GET' : 'POST' },
      (answer) => void takeFrom(answer, asked).then(resolve, reject),
    ).once('error', reject);
    sent.setHeader('authorization', `Bearer ${token}`);
    if (json !== undefined) sent.setHeader('content-type', 'application/json');
    sent.end(json === undefined ? '' : JSON.stringify(json));
  });

const mostMiB = ({ bytes }: Taken): number => (MOST_SHARE * bytes) / 2 ** 20;

/** How much memory one answer takes, of a kind that was given before to somebody who wanted little. */
const growthOf = async (little: Asked, much: Asked): Promise<Taken & { readonly growth: number }> => {
  await take(little);
  const before = await residentMiB(world.vault.pid);
  let taken: Taken = { bytes: 0, end: '', whole: false };
  const peak = await peakMiBWhile(world.vault.pid, async () => {
    taken = await take(much);
  });
  return { ...taken, growth: peak - before };
};

test('a run of the whole log', { timeout: 60_000 }, async () => {
  const reads = 'callvault log evidence';
  const taken = await growthOf({ path: 'export?from=0&to=20000', reads }, { path: 'export', reads });
  expect(taken.bytes).toBeGreaterThan(LEAST_BYTES);
  expect(Number(/"entries":(\d+)\}\n$/.exec(taken.end)?.[1])).toBeGreaterThan(ENTRIES);
  expect(taken.growth).toBeLessThan(mostMiB(taken));
});

test('a search as a file', { timeout: 60_000 }, async () => {
  const reads = 'callvault log reader';
  const asked = { path: 'search', json: { action: 'playback.opened' }, reads } as const;
  const file = { ...asked, json: { ...asked.json, format: 'csv' } };
  const taken = await growthOf(asked, file);
  expect(taken.bytes).toBeGreaterThan(LEAST_BYTES);
  expect(taken.whole).toBe(true);
  expect(taken.growth).toBeLessThan(mostMiB(taken));
});

test('what somebody did, each entry with its proof', { timeout: 60_000 }, async () => {
  const asked = { path: `export?actor=${world.line.nurse.id}`, reads: 'callvault log evidence' } as const;
  const taken = await growthOf({ ...asked, upTo: 500 }, asked);
  expect(taken.bytes).toBeGreaterThan(LEAST_BYTES);
  expect(Number(/"entries":(\d+)\}\n$/.exec(taken.end)?.[1])).toBeGreaterThan(ENTRIES);
  expect(taken.growth).toBeLessThan(mostMiB(taken));
});

test('whoever leaves is not written for any more', { timeout: 60_000 }, async () => {
  const asked = { path: `export?actor=${world.line.nurse.id}`, reads: 'callvault log evidence' } as const;
  expect(await take({ ...asked, upTo: 200 })).toMatchObject({ whole: false });
  const left = performance.now();
  await rest(asked.reads);
  expect(performance.now() - left).toBeLessThan(5_000);
});
