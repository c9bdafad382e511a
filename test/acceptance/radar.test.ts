import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wavFile } from '../support/audio-files.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import type { Entry } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { type Person, type Source, startScene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** A call that should have been recorded and was not must be noticed, and nobody's number seen on the way. */
let scene: Awaited<ReturnType<typeof startScene>>;
let source: Source;
beforeAll(async () => {
  scene = await startScene({ RADAR_GRACE_MINUTES: '1', METRICS_PORT: '0' });
});
afterAll(() => scene?.close());

const NUMBER = '0701740688';
const HOUR = 3_600_000;
/** Yesterday at noon, so that a day of the calendar is one for the whole test. */
const NOON = Math.floor((Date.now() - 24 * HOUR) / (24 * HOUR)) * 24 * HOUR + 12 * HOUR;
const DAY = new Date(NOON).toISOString().slice(0, 10);
const at = (ms: number): string => new Date(NOON + ms).toISOString();

type Call = Readonly<Record<string, unknown>> & { readonly callId: string };
const call = (about: object = {}): Call => ({
  callId: randomUUID(),
  startedAt: at(0),
  endedAt: at(60_000),
  direction: 'inbound',
  callerNumber: NUMBER,
  ...about,
});
type Announced = { accepted: number; tooOld: number; refused: number; faults: unknown[]; ids: string[] };
const announce = (json: unknown, from = source): Promise<Reply> =>
  scene.http.post('/v1/calls', { token: from.apiKey, json });
const announced = async (...calls: Call[]): Promise<string[]> =>
  jsonOf<Announced>(await announce({ calls }), 200).ids;
const table = (body: string | Buffer, query = '', type = 'text/csv'): Promise<Reply> =>
  scene.http.post(`/v1/calls${query}`, { token: source.apiKey, body, headers: { 'content-type': type } });

type Day = Readonly<Record<string, number | string>>;
const days = async (query = `from=${DAY}&to=${DAY}`, who: Person = scene.home.admin): Promise<Day[]> =>
  jsonOf<{ days: Day[] }>(
    await scene.http.get(`/v1/admin/radar?${query}`, { token: await who.token() }),
    200,
  ).days.filter(({ source: of }) => of === source.id);
type Page = { items: { id: string; startedAt: string }[]; next: string | null };
const found = async (finding: string, more = '', who: Person = scene.home.admin): Promise<Page> => {
  const query = `source=${source.id}&day=${DAY}&finding=${finding}${more}`;
  return jsonOf(await scene.http.get(`/v1/admin/radar/findings?${query}`, { token: await who.token() }), 200);
};
const ID = expect.stringMatching(/^[0-9a-f-]{36}$/);
const idsOf = ({ items }: Page): string[] => items.map(({ id }) => id);
const record = (metadata: object, audio?: Buffer) =>
  scene.stage.recording(source, { startedAt: at(0), ...metadata }, audio);

const fresh = async (): Promise<void> => {
  source = await scene.stage.source(scene.home.admin, scene.own.id);
};

test('calls without recording, recordings without call, short and silent ones, by source and day and by id', async () => {
  await fresh();
  const [whole, missing, declined, cut, short] = [
    call({ expectedDurationMs: 1000 }),
    call(),
    call({ recorded: 'not_expected', reason: 'caller_declined' }),
    call({ expectedDurationMs: 2000 }),
    call({ expectedDurationMs: 60_000 }),
  ];
  const [, missingId, , , shortId] = await announced(whole, missing, declined, cut, short);
  await record({ callId: whole.callId });
  // Two pieces of one call, long enough together.
  await record({ callId: cut.callId });
  await record({ callId: cut.callId, segment: 1 });
  await record({ callId: short.callId });
  const alone = await record({ callId: randomUUID() });
  const quiet = await record({ callId: randomUUID() }, wavFile({ data: Buffer.alloc(48_000), rate: 8000 }));
  await expect
    .poll(() => days(), { timeout: 250_000, interval: 3000 })
    .toEqual([
      {
        ...{ source: source.id, day: DAY, announced: 5, notExpected: 1, missing: 1, short: 1 },
        ...{ recordings: 6, unannounced: 2, oneSided: 0, silent: 1, noSound: 0 },
      },
    ]);
  expect(idsOf(await found('missing'))).toEqual([missingId]);
  expect(idsOf(await found('short'))).toEqual([shortId]);
  expect(idsOf(await found('unannounced')).sort()).toEqual([alone.id, quiet.id].sort());
  expect(idsOf(await found('silent'))).toEqual([quiet.id]);
  // What comes late is not missing any more.
  await record({ callId: missing.callId });
  expect(idsOf(await found('missing'))).toEqual([]);
});

test('a call of which nothing or garbage came is no recorded call, however short it was and whoever stated its length', async () => {
  await fresh();
  const page = Buffer.from('<!DOCTYPE html><html><body>503 Service Unavailable</body></html>');
  const header = wavFile();
  const calls = [
    call({ expectedDurationMs: 60_000 }),
    call({ expectedDurationMs: 12_000 }),
    call({ expectedDurationMs: 3000 }),
    call({ endedAt: undefined, startedAt: at(-5 * HOUR) }),
    call({ expectedDurationMs: 0 }),
    call({ recorded: 'not_expected' }),
    call({ expectedDurationMs: 60_000 }),
    call({ expectedDurationMs: 60_000 }),
  ];
  const ids = await announced(...calls);
  const [nothing, web, brief, open, zero, unexpected, whole, unknown] = calls.map(({ callId }) => callId);
  const empty = [];
  for (const [callId, audio] of [
    [nothing, Buffer.alloc(0)],
    [web, page],
    [brief, header],
    [open, Buffer.alloc(0)],
    [zero, Buffer.alloc(0)],
    [unexpected, Buffer.alloc(0)],
    [whole, header],
    [unknown, header],
  ] as const)
    empty.push((await record({ callId }, audio)).id);
  // Sound beside it counts; and where a length is not known, nothing is said.
  await record({ callId: whole, segment: 1 }, generatedCall(60));
  const vague = wavFile({ tag: 0x0083, bits: 8, data: Buffer.alloc(8000, 7) });
  await record({ callId: unknown, segment: 1 }, vague);
  expect(idsOf(await found('short')).sort()).toEqual(ids.slice(0, 4).sort());
  expect(idsOf(await found('missing'))).toEqual([]);
  expect(idsOf(await found('no_sound')).sort()).toEqual(empty.sort());
  expect(await days()).toMatchObject([{ announced: 8, missing: 0, short: 4, recordings: 10, noSound: 8 }]);
});

test('pages follow each other without gap or repetition, whatever the limit', async () => {
  await fresh();
  const ids = await announced(
    ...Array.from({ length: 7 }, (_, n) => call({ startedAt: at(n * 1000), endedAt: at(9000) })),
  );
  await announced(call());
  const seen: string[] = [];
  let more = '&limit=3';
  for (;;) {
    const page = await found('missing', more);
    seen.push(...idsOf(page));
    if (page.next === null) break;
    more = `&limit=3&cursor=${page.next}`;
  }
  expect(seen).toHaveLength(8);
  expect(new Set(seen).size).toBe(8);
  expect(seen.filter((id) => ids.includes(id))).toEqual(ids);
});

describe('announcing', () => {
  beforeAll(fresh);

  test('one call, and the same again, is one; the later word counts, within a batch too', async () => {
    const one = call({ endedAt: undefined });
    const first = jsonOf<Announced>(await announce(one), 200);
    expect(first).toEqual({ accepted: 1, tooOld: 0, refused: 0, faults: [], ids: [expect.any(String)] });
    const again = await announced({ ...one, endedAt: at(5000) }, {
      ...one,
      recorded: 'not_expected',
    } as Call);
    expect(again).toEqual([first.ids[0], first.ids[0]]);
    expect(await days()).toMatchObject([{ announced: 1, notExpected: 1, missing: 0 }]);
  });

  test('the same calls from two connections at once are kept once', async () => {
    const calls = Array.from({ length: 50 }, () => call({ recorded: 'not_expected' }));
    const [before] = await days();
    const replies = await Promise.all([
      announce({ calls }),
      announce({ calls: calls.toReversed() }),
      announce({ calls }),
    ]);
    const [a, b, c] = replies.map((reply) => jsonOf<Announced>(reply, 200).ids);
    expect(a).toEqual(c);
    expect(b?.toReversed()).toEqual(a);
    const [after] = await days();
    expect(Number(after?.announced) - Number(before?.announced)).toBe(50);
  });

  test('call records as a table, comma or semicolon; an odd row keeps no other away', async () => {
    const rows = ['c-1,2026-11-20,x', `c-2,${DAY} 13:00:00,0`, `c-3,${DAY} 13:00:00,60`].join('\n');
    const reply = await table(`uniqueid,calldate,billsec\n${rows}`, '?timeZone=Europe/Stockholm');
    expect(jsonOf<Announced>(reply, 200)).toMatchObject({ accepted: 2, refused: 1, ids: [null, ID, ID] });
    const semicolons = await table(`callId;startedAt\nc-3;${at(0)}`, '', 'text/csv; charset=utf-8');
    expect(jsonOf<Announced>(semicolons, 200)).toMatchObject({ accepted: 1, refused: 0 });
    expect(idsOf(await found('missing'))).toHaveLength(1);
  });

  test('a call of another source or organisation is another call', async () => {
    const one = call();
    await announced(one);
    await scene.stage.recording(scene.foreign.source, { callId: one.callId, startedAt: at(0) });
    await scene.stage.recording(scene.home.source, { callId: one.callId, startedAt: at(0) });
    expect(idsOf(await found('missing'))).toHaveLength(2);
    const stranger = await scene.foreign.admin.token();
    const query = `source=${source.id}&day=${DAY}&finding=missing`;
    const reply = await scene.http.get(`/v1/admin/radar/findings?${query}`, { token: stranger });
    expect(jsonOf<Page>(reply, 200).items).toEqual([]);
    expect(await days(`from=${DAY}&to=${DAY}`, scene.foreign.admin)).toEqual([]);
  });

  test('what began longer ago than calls are kept is counted and not kept', async () => {
    const reply = await announce(call({ startedAt: '2020-01-01T00:00:00Z', endedAt: undefined }));
    expect(jsonOf<Announced>(reply, 200)).toMatchObject({ accepted: 0, tooOld: 1, ids: [null] });
  });
});

test('rows of one call are one call that was answered, and whoever sent them can tell which it is', async () => {
  await fresh();
  const rows = (...lines: string[]) => `uniqueid,calldate,billsec,disposition\n${lines.join('\n')}`;
  const leg = (id: string, billsec: number, how: string) => `${id},${DAY} 13:00:00,${billsec},${how}`;
  const sent = rows(
    leg('q.1', 55, 'ANSWERED'),
    leg('q.2', 300, 'ANSWERED'),
    leg('q.1', 0, 'NO ANSWER'),
    'q.3,never,0,ANSWERED',
    leg('q.2', 5, 'ANSWERED'),
    `q.4,2020-01-01 00:00:00,5,ANSWERED`,
  );
  const send = async (text: string) =>
    jsonOf<Announced>(await table(text, '?timeZone=Europe/Stockholm'), 200);
  const { ids, ...counts } = await send(sent);
  expect(counts).toMatchObject({ accepted: 2, tooOld: 1, refused: 1 });
  expect(ids).toEqual([ID, ID, ids[0], null, ids[1], null]);
  // An hour later, the next table.
  expect((await send(rows(leg('q.1', 0, 'BUSY'), leg('q.2', 3, 'ANSWERED')))).ids).toEqual([ids[0], ids[1]]);
  await record({ callId: 'q.2' }, generatedCall(12));
  expect(idsOf(await found('missing'))).toEqual([ids[0]]);
  expect(idsOf(await found('short'))).toEqual([ids[1]]);
  // Whoever has lost the answer sends the table again.
  expect((await send(sent)).ids).toEqual(ids);
  expect(await days()).toMatchObject([{ announced: 2, notExpected: 0, missing: 1, short: 1 }]);
});

describe('hostile announcements', () => {
  beforeAll(fresh);

  test.each<[string, unknown]>([
    ['nothing', {}],
    ['a list', []],
    ['no calls', { calls: [] }],
    ['too many', { calls: Array.from({ length: 1001 }, () => ({ callId: 'x', startedAt: at(0) })) }],
    ['more beside them', { calls: [call()], [NUMBER]: 1 }],
    ['an unknown field', call({ [NUMBER]: 1 })],
    ['no start', { callId: 'x' }],
    ['half a character', call({ callId: '\ud800' })],
    ['a control character', call({ callId: 'x\u0000' })],
    ['an end before the start', call({ endedAt: at(-1) })],
    ['a start next week', call({ startedAt: at(8 * 24 * HOUR), endedAt: undefined })],
    ['a reason of an expected call', call({ reason: 'test' })],
    ['free text as a reason', call({ recorded: 'not_expected', reason: NUMBER })],
    ['a length that is none', call({ expectedDurationMs: -1 })],
    ['one bad among good ones', { calls: [call(), call({ direction: NUMBER }), call()] }],
  ])('%s: refused whole', async (_what, json) => {
    const reply = await announce(json);
    expectProblem(reply, 400, 'invalid_request');
    expect(reply.text).not.toContain(NUMBER);
    expect(await days()).toEqual([]);
  });

  test.each<[string, string | Buffer, string, number]>([
    ['bytes that are no text', Buffer.from([0x63, 0xff, 0xfe]), 'text/csv', 400],
    ['an open quotation mark', `uniqueid,start\n"${NUMBER}`, 'text/csv', 400],
    ['another character set', 'uniqueid,start\n1,2', 'text/csv; charset=iso-8859-1', 415],
    ['another type', 'uniqueid,start\n1,2', 'text/tab-separated-values', 415],
    ['five megabytes', Buffer.alloc(5 * 1024 * 1024, 'x'), 'text/csv', 413],
    ['more rows than are taken', `uniqueid,start\n${'1,2\n'.repeat(5001)}`, 'text/csv', 400],
  ])('as a table: %s', async (_what, body, type, status) => {
    const reply = await table(body, '', type);
    expect(reply.status).toBe(status);
    expect(reply.text).not.toContain(NUMBER);
    expect(await days()).toEqual([]);
  });

  test.each([
    'from=2026-03-01&to=2026-04-01',
    'from=2026-03-02&to=2026-03-01',
    'from=2026-02-30&to=2026-03-01',
    '',
  ])('the radar is asked for %s: refused', async (query) => {
    const reply = await scene.http.get(`/v1/admin/radar?${query}`, { token: await scene.home.admin.token() });
    expectProblem(reply, 400, 'invalid_request');
  });
});

test('no number and no call id lies in the clear, and the log has one entry per batch that names no call', async () => {
  await fresh();
  const secret = `call-${randomUUID()}`;
  await announced(call({ callId: secret, calledNumber: '+46 8 465 004 99' }), call());
  const dump = await inDatabase(scene.folder, async (client) => {
    const { rows } = await client.query(`SELECT c::text AS row FROM announced_call c`);
    return rows.map(({ row }) => row as string).join('\n');
  });
  for (const trace of [secret, NUMBER.slice(1), '4650049', '701740688'])
    for (const form of [trace, Buffer.from(trace).toString('hex'), Buffer.from(trace).toString('base64')])
      expect(dump).not.toContain(form);
  const json = { action: 'calls.announced', actor: source.id };
  const reply = await scene.http.post('/v1/audit/search', {
    token: await scene.home.compliance.token(),
    json,
  });
  const { entries } = jsonOf<{ entries: Entry[] }>(reply, 200);
  expect(entries).toHaveLength(1);
  expect(entries[0]).toMatchObject({
    actor: { type: 'source', id: source.id },
    recording: null,
    subject: null,
    detail: { count: 2, expected: 2, tooOld: 0, form: 'json' },
  });
});

test('findings are counts in the metrics, in all and by source, and do not make the vault unready', async () => {
  await fresh();
  const recent = { startedAt: new Date(Date.now() - HOUR).toISOString(), endedAt: undefined };
  const ids = await announced(call({ ...recent, expectedDurationMs: 1000 }));
  const port = /metrics on port (\d+)/.exec(scene.vault.output())?.[1];
  const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  // A reckoning serves for a minute, and another test may have asked.
  await expect.poll(metrics, { timeout: 250_000, interval: 3000 }).toContain(source.id);
  const text = await metrics();
  const ofSource = (finding: string): string =>
    `callvault_radar_source_last_day{source="${source.id}",finding="${finding}"}`;
  expect(text).toContain(`${ofSource('announced')} 1\n`);
  expect(text).toContain(`${ofSource('missing')} 1\n`);
  expect(text).toContain(`${ofSource('no_sound')} 0\n`);
  expect(text).toMatch(/^callvault_radar_last_day\{finding="missing"\} [1-9]\d*$/m);
  expect(text).toMatch(/^callvault_radar_last_day\{finding="no_sound"\} \d+$/m);
  expect(text).toMatch(/^callvault_webhook_messages\{state="dead"\} 0$/m);
  for (const id of [...ids, scene.own.id, NUMBER]) expect(text).not.toContain(id);
  expect((await scene.http.get('/readyz')).status).toBe(200);
});

test('a recording that is erased leaves its call settled: it was recorded', async () => {
  await fresh();
  const one = call({ expectedDurationMs: 1000 });
  await announced(one);
  const { id } = await record({ callId: one.callId }, generatedCall(1));
  const erased = await scene.http.ask('DELETE', `/v1/recordings/${id}`, {
    token: await scene.home.admin.token(),
    json: { reason: 'retention' },
  });
  expect(erased.status).toBe(204);
  expect(idsOf(await found('missing'))).toEqual([]);
});
