import { createHash, randomUUID } from 'node:crypto';
import { request } from 'node:http';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createExportVerifier, type ExportExpectations } from '../../src/core/audit/export-verify.ts';
import { parseNoteKey } from '../../src/core/audit/note.ts';
import { createHttpClient, type HttpClient, jsonOf, type Reply } from '../support/http-client.ts';
import { type InProcessVault, startInProcess } from '../support/in-process-vault.ts';
import { expectProblem } from '../support/problems.ts';
import { buildScene, type Person, type Scene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** Exports of the access log over HTTP, on a real log of two organisations, and what the verifier says of them. */
let vault: InProcessVault;
let http: HttpClient;
let scene: Scene;

beforeAll(async () => {
  vault = await startInProcess();
  http = createHttpClient(vault.url);
  scene = await buildScene(http, vault.adminCreate);
  const { own, home, installationAuditor, foreign } = scene;
  await Promise.all([home, foreign].map(({ compliance }) => compliance.token()));
  await installationAuditor.token();
  const token = await own.nurse.token();
  for (let i = 0; i < 5; i += 1) await http.get(`/v1/recordings/${own.recording.id}`, { token });
});
afterAll(async () => {
  http.close();
  await vault.close();
});

type Header = {
  kind: string;
  size: number;
  root: string;
  entry: number;
  from: number;
  to: number;
  checkpoint: string | null;
  filter: Record<string, unknown>;
};
type Line = {
  seq: number;
  commitment: string;
  salt?: string;
  body?: { id: string; organisation: string; action: string } | null;
};

const ask = async (query: string, person: Person = scene.home.compliance): Promise<Reply> =>
  http.get(`/v1/audit/export${query}`, { token: await person.token() });
const post = async (json: object, person: Person = scene.home.compliance): Promise<Reply> =>
  http.post('/v1/audit/export', { token: await person.token(), json });
const verdictOf = ({ body }: Reply, expected: ExportExpectations = {}) => {
  const verifier = createExportVerifier(expected);
  verifier.push(body);
  return verifier.finish();
};
const linesOf = (reply: Reply) => {
  if (reply.status !== 200) throw new Error(reply.text);
  const all = reply.text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
  return {
    header: all[0] as Header,
    lines: all.slice(1, -1) as Line[],
    end: all.at(-1) as { end: string; entries: number },
  };
};
const rows = <T>(text: string, values: readonly unknown[] = []): Promise<T[]> =>
  inDatabase(vault.folder, async (client) => (await client.query(text, [...values])).rows as T[]);
const sizeNow = async (): Promise<number> =>
  (await rows<{ size: number }>('SELECT max(size)::int AS size FROM audit.batch'))[0]?.size ?? 0;
const seqsOf = async (condition: string, values: readonly unknown[] = []): Promise<number[]> =>
  (
    await rows<{ seq: number }>(`SELECT seq::int FROM audit.entry WHERE ${condition} ORDER BY seq`, values)
  ).map(({ seq }) => seq);

describe('H-5 a run', () => {
  test('all there is: her own with body and salt, others’ as commitments, and it verifies', async () => {
    const size = await sizeNow();
    const reply = await ask('');
    const { header, lines, end } = linesOf(reply);
    expect(verdictOf(reply)).toMatchObject({
      ok: true,
      kind: 'range',
      from: 0,
      to: size,
      entries: size,
      faults: [],
    });
    expect(header).toMatchObject({ size, from: 0, to: size, entry: size });
    expect(lines.map(({ seq }) => seq)).toEqual(Array.from({ length: size }, (_, i) => i));
    expect(end.entries).toBe(size);
    const own = lines.filter(({ body }) => body !== undefined);
    const searched = await seqsOf(
      `(facts).organisation = $1 AND seq < $2 AND (facts).action NOT IN ('organisation.changed', 'session.refused')`,
      [scene.home.id, size],
    );
    expect(own.map(({ seq }) => seq)).toEqual(searched);
    expect(own.length).toBeGreaterThan(10);
    expect(lines.length).toBeGreaterThan(own.length);
    expect(reply.text).not.toContain(scene.foreign.id);
  });

  test('the officer of the other organisation gets the other bodies of the same tree; the auditor the installation’s', async () => {
    const { home, foreign, installationAuditor } = scene;
    const bodies = async (person: Person) =>
      linesOf(await ask('?to=20', person)).lines.flatMap(({ seq, body }) =>
        body === undefined ? [] : [seq],
      );
    const [ours, theirs, installation] = await Promise.all(
      [home.compliance, foreign.compliance, installationAuditor].map(bodies),
    );
    expect(new Set([...ours!, ...theirs!, ...installation!]).size).toBe(
      ours!.length + theirs!.length + installation!.length,
    );
    expect(installation).toContain(0);
  });

  test.each(['?from=0&to=1', '?from=7&to=19', '?from=16&to=17', '?from=5&to=5', '?from=9'])(
    '%s verifies',
    async (query) => {
      const reply = await ask(query);
      expect(verdictOf(reply)).toMatchObject({ ok: true });
      const { header, lines } = linesOf(reply);
      expect(lines.map(({ seq }) => seq)).toEqual(
        Array.from({ length: header.to - header.from }, (_, i) => header.from + i),
      );
    },
  );
});

describe('H-5 a run that is asked for', () => {
  test('that it was taken is an entry, committed before the first byte', async () => {
    const before = await sizeNow();
    const { header, lines } = linesOf(await ask(`?from=1&to=${before}`));
    const count = lines.filter(({ body }) => body !== undefined).length;
    // Others' entries were not given.
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(lines.length);
    const [entry] = await rows<{ body: { actor: { id: string }; detail: object } }>(
      'SELECT body::jsonb AS body FROM audit.entry WHERE seq = $1',
      [header.entry],
    );
    expect(header.entry).toBe(before);
    expect(entry?.body).toMatchObject({
      action: 'log.exported',
      outcome: 'success',
      actor: { id: scene.home.compliance.id },
      organisation: scene.home.id,
      recording: null,
      detail: { format: 'evidence', criteria: ['range'], count, first: 1, last: before - 1 },
    });
  });

  test('by time: from the first to the last of her own entries in it, without holes', async () => {
    const own = await rows<{ seq: number; at: string }>(
      `SELECT seq::int, (facts).at FROM audit.entry WHERE (facts).organisation = $1
         AND (facts).action NOT IN ('organisation.changed', 'session.refused') ORDER BY (facts).at, seq`,
      [scene.home.id],
    );
    const [since, until] = [own[3]!, own[9]!].map(({ at }) => new Date(Number(at)).toISOString());
    const inside = own
      .filter(({ at }) => Number(at) >= Date.parse(since!) && Number(at) < Date.parse(until!))
      .map(({ seq }) => seq);
    const reply = await ask(`?since=${since}&until=${until}`);
    expect(verdictOf(reply)).toMatchObject({
      ok: true,
      from: Math.min(...inside),
      to: Math.max(...inside) + 1,
    });
    expect(linesOf(reply).header.filter).toMatchObject({
      since: Date.parse(since!),
      until: Date.parse(until!),
    });
    expect(verdictOf(await ask('?until=2001-01-01T00:00:00Z'))).toMatchObject({ ok: true, entries: 0 });
  });

  test.each([
    ['?to=999999', 'to', 'entries now'],
    ['?from=999999', 'from', 'entries now'],
    ['?from=5&to=4', 'from', 'entries now'],
    ['?from=1&since=2026-01-01T00:00:00Z', 'from', 'cannot be combined'],
    [`?to=1&recording=${randomUUID()}`, 'to', 'cannot be combined'],
  ])('%s is refused, and nothing is written down', async (query, where, fault) => {
    const before = await sizeNow();
    const problem = expectProblem(await ask(query), 400, 'invalid_request') as unknown as {
      faults: object[];
    };
    expect(problem.faults).toEqual([{ where, fault: expect.stringContaining(fault) }]);
    expect(await sizeNow()).toBe(before);
  });

  test.each([
    '?from=-1',
    '?from=1.5',
    '?to=9007199254740993',
    '?subject=1:00',
    '?callerNumber=0701740610',
    '?since=yesterday',
  ])('what is no run, or does not belong into an address, is refused: %s', async (query) => {
    expectProblem(await ask(query), 400, 'invalid_request');
  });
});

describe('H-5 what is about a recording, a person, a patient', () => {
  test('a recording: all that the officer may read of it, newest first, each with its proof', async () => {
    const { id } = scene.own.recording;
    const reply = await ask(`?recording=${id}`);
    const { header, lines } = linesOf(reply);
    expect(verdictOf(reply)).toMatchObject({
      ok: true,
      kind: 'selection',
      entries: lines.length,
      bodies: lines.length,
    });
    expect(lines.map(({ seq }) => seq).sort((a, b) => a - b)).toEqual(
      await seqsOf('(facts).recording = $1', [id]),
    );
    expect(lines.length).toBeGreaterThan(5);
    expect(header.filter).toEqual({ recording: id, actor: null, subjects: null, since: null, until: null });
  });

  test('a person, within a time', async () => {
    const { id } = scene.own.nurse;
    const reply = await post({ actor: id, since: '2020-01-01T00:00:00Z' });
    expect(verdictOf(reply)).toMatchObject({ ok: true });
    expect(
      linesOf(reply)
        .lines.map(({ seq }) => seq)
        .sort((a, b) => a - b),
    ).toEqual(await seqsOf('(facts).actor = $1', [id]));
  });

  test('a patient, by number: the file and the log hold pseudonyms only', async () => {
    const number = scene.own.recording.metadata.callerNumber as string;
    const reply = await post({ callerNumber: number });
    const { header, lines } = linesOf(reply);
    expect(verdictOf(reply)).toMatchObject({ ok: true });
    expect(lines.length).toBeGreaterThan(5);
    const digits = number.replace(/\D/g, '').slice(-7);
    const told = await rows<{ body: string }>('SELECT body FROM audit.entry WHERE seq = $1', [header.entry]);
    for (const text of [reply.text, JSON.stringify(reply.headers), told[0]?.body])
      expect(text).not.toContain(digits);
    const [subject] = header.filter.subjects as string[];
    const again = linesOf(await post({ subject })).lines;
    expect(again.map(({ seq }) => seq)).toEqual(lines.map(({ seq }) => seq));
  });

  test('another organisation’s recording and one that does not exist: nothing, alike', async () => {
    for (const recording of [scene.abroad.recording.id, randomUUID()])
      expect(verdictOf(await ask(`?recording=${recording}`))).toMatchObject({ ok: true, entries: 0 });
  });
});

const asSuperuser = (work: (client: pg.ClientBase) => Promise<unknown>) =>
  inDatabase(
    vault.folder,
    async (client) => {
      const triggers = (state: string) =>
        client.query(
          ['leaf', 'entry']
            .map((table) => `ALTER TABLE audit.${table} ${state} TRIGGER refuse_change`)
            .join(';'),
        );
      await triggers('DISABLE');
      await work(client).finally(() => triggers('ENABLE ALWAYS'));
    },
    'superuser',
  );

/** One of the home organisation's entries, in the middle of the log. */
const victim = async (): Promise<number> =>
  (
    await seqsOf(`(facts).organisation = $1 AND (facts).action = 'recording.viewed'`, [scene.home.id])
  )[1] as number;

const finding = async (reply: Reply) => {
  const { ok, faults } = verdictOf(reply);
  return { ok, kind: faults[0]?.kind, index: faults[0]?.index };
};

type Row = { seq: number; commitment: Buffer; event_id: string; salt: Buffer; body: string };

/** Does something to these entries, looks, and puts them back as they were. */
const tampered = async (
  seqs: readonly number[],
  tamper: (client: pg.ClientBase, before: readonly Row[]) => Promise<unknown>,
  look: () => Promise<void>,
): Promise<void> => {
  const before = await rows<Row>(
    `SELECT seq::int, commitment, event_id, salt, body FROM audit.leaf JOIN audit.entry USING (seq)
      WHERE seq = ANY ($1) ORDER BY seq`,
    [seqs],
  );
  const put = (client: pg.ClientBase, { seq, commitment, event_id, salt, body }: Row) =>
    client
      .query('INSERT INTO audit.leaf VALUES ($1, $2, $3)', [seq, commitment, event_id])
      .then(() =>
        client.query('INSERT INTO audit.entry (seq, salt, body) VALUES ($1, $2, $3)', [seq, salt, body]),
      );
  const replace = async (client: pg.ClientBase, after: readonly Row[]): Promise<void> => {
    await client.query('DELETE FROM audit.leaf WHERE seq = ANY ($1)', [seqs]);
    await client.query('DELETE FROM audit.entry WHERE seq = ANY ($1)', [seqs]);
    for (const row of after) await put(client, row);
  };
  await asSuperuser(async (client) => {
    const after = await tamper(client, before);
    if (Array.isArray(after)) await replace(client, after as Row[]);
  });
  try {
    await look();
  } finally {
    await asSuperuser((client) => replace(client, before));
  }
  expect((await finding(await ask(''))).ok).toBe(true);
};

describe('H-5 what a superuser did to the rows is in the file, and found', () => {
  const elsewhere = '"organisation":"00000000-0000-4000-8000-000000000000"';
  test.each([
    ['a body edited', `body = replace(body, '"success"', '"denied"')`],
    ['a salt edited', `salt = decode(repeat('00', 32), 'hex')`],
    ['a body that is no entry any more', `body = replace(body, '"detail":', '"detail":1,"details":')`],
    ['a body with a line more', `body = body || E'\\n{"end":"x"}'`],
    ['a body given away', `body = regexp_replace(body, '"organisation":"[^"]*"', '${elsewhere}')`],
  ])('%s', async (_what, set) => {
    const seq = await victim();
    const edit = (client: pg.ClientBase) =>
      client.query(`UPDATE audit.entry SET ${set} WHERE seq = $1`, [seq]);
    await tampered([seq], edit, async () => {
      expect(await finding(await ask(''))).toEqual({ ok: false, kind: 'body', index: seq });
    });
  });

  test('an entry taken out of the tree', async () => {
    const seq = await victim();
    await tampered(
      [seq],
      async () => [],
      async () => {
        expect(await finding(await ask(''))).toEqual({ ok: false, kind: 'leaf', index: seq });
      },
    );
  });

  test('a body taken out', async () => {
    const seq = await victim();
    const remove = (client: pg.ClientBase) => client.query('DELETE FROM audit.entry WHERE seq = $1', [seq]);
    await tampered([seq], remove, async () => {
      expect(await finding(await ask(''))).toEqual({ ok: false, kind: 'body', index: seq });
    });
  });

  test('two exchanged, commitments and all', async () => {
    const seq = await victim();
    const exchange = async (_client: pg.ClientBase, [a, b]: readonly Row[]) => [
      { ...a, seq: b?.seq },
      { ...b, seq: a?.seq },
    ];
    await tampered([seq, seq + 1], exchange, async () => {
      const { ok, kind, index } = await finding(await ask(''));
      expect([ok, ['tree', 'anchor'].includes(kind ?? ''), (index ?? 0) <= seq]).toEqual([false, true, true]);
    });
  });
});

test('whoever stops reading ends it: nothing is held, and the vault goes on', async () => {
  const token = await scene.home.compliance.token();
  await new Promise<void>((resolve, reject) => {
    const outgoing = request(
      `${vault.url}/v1/audit/export`,
      { headers: { authorization: `Bearer ${token}` } },
      (incoming) => {
        incoming.once('data', () => {
          incoming.destroy();
          resolve();
        });
        incoming.on('error', () => undefined);
      },
    );
    outgoing.once('error', reject);
    outgoing.end();
  });
  expect(jsonOf(await http.get('/v1/audit/proof/inclusion?seq=0', { token }), 200)).toBeTruthy();
});

test('everything in it is under a checkpoint, made when it was asked for', async () => {
  const note = parseNoteKey(vault.logKey);
  const trust = { keys: note === null ? [] : [note], witnesses: [], quorum: 0 };
  const size = await sizeNow();
  expect(verdictOf(await ask(''), { trust })).toMatchObject({
    ok: true,
    size,
    checkpointSize: size,
    signed: true,
  });
  const { text } = await ask(`?recording=${scene.own.recording.id}`);
  const [header] = text.split('\n', 1);
  expect((JSON.parse(header ?? '') as Header).checkpoint?.split('\n')[1]).toBe(String(size + 1));
});

test('the last line is a digest of all before it', async () => {
  const { text } = await ask('?to=9');
  const at = text.lastIndexOf('{"end":');
  expect(JSON.parse(text.slice(at))).toEqual({
    end: createHash('sha256').update(text.slice(0, at)).digest('hex'),
    entries: 9,
  });
});
