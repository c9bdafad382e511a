import { describe, expect, test } from 'vitest';
import { asksTheLog } from '../support/asked-log.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** The access log as a file, for a spreadsheet or another program. */
const CALLER = '070-174 06 61';
const CSV = 'text/csv';
const NDJSON = 'application/x-ndjson';
const FHIR = 'application/fhir+ndjson';

const log = asksTheLog();
const { get, search, hear, newestOf } = log;

/** Cells of a file of ours, which quotes nothing that has a line end in it here. */
const cellsOf = ({ text }: Reply): string[][] =>
  text
    .replace(/^\ufeff/, '')
    .trimEnd()
    .split('\r\n')
    .map((line) =>
      [...line.matchAll(/(?:^|;)(?:"((?:[^"]|"")*)"|([^;]*))/g)].map(([, a, b]) => a ?? b ?? ''),
    );
const linesOf = ({ text }: Reply): Record<string, unknown>[] =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('as a file', () => {
  test.each([
    ['csv', CSV, 'text/csv; charset=utf-8; header=present'],
    ['ndjson', NDJSON, 'application/x-ndjson; charset=utf-8'],
    ['fhir', FHIR, 'application/fhir+ndjson; charset=utf-8'],
  ])(
    '%s by Accept and by field: the same, private, and not to be opened in place',
    async (format, accept, type) => {
      const { id: recording } = await log.people.deliver();
      await log.people.open(log.scene.own.nurse, recording);
      const [byHeader, byField, byBoth] = await Promise.all([
        search({ recording }, { headers: { accept } }),
        search({ recording, format }),
        search({ recording, format }, { headers: { accept: 'image/png' } }),
      ]);
      expect([byHeader.status, byHeader.headers['content-type']]).toEqual([200, type]);
      expect(byHeader.headers).toMatchObject({
        'cache-control': 'private, no-store',
        'content-disposition': expect.stringMatching(/^attachment; filename="access-log\.[a-z.]+"$/),
        'x-entry-count': '2',
        vary: 'Accept',
      });
      expect(byField.text).toBe(byHeader.text);
      expect(byBoth.text).toBe(byHeader.text);
    },
  );

  test('CSV for a Swedish Excel: mark, semicolons, a line for each entry', async () => {
    const { id: recording } = await log.people.deliver({ callerNumber: CALLER });
    await log.people.open(log.scene.own.nurse, recording, {
      purpose: 'complaint',
      reason: '=HYPERLINK("x";"y")',
    });
    const reply = await search({ recording, format: 'csv' });
    expect(reply.body.subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf]));
    const [head, opened, stored, ...rest] = cellsOf(reply);
    expect(rest).toEqual([]);
    const of = (cells: string[] | undefined, column: string) => cells?.[head?.indexOf(column) ?? -1];
    expect([of(opened, 'action'), of(opened, 'purpose'), of(stored, 'action')]).toEqual([
      'playback.opened',
      'complaint',
      'recording.stored',
    ]);
    expect(of(opened, 'detail')).toMatch(/^\{/);
    const found = await log.people.entries({ recording });
    expect(of(opened, 'seq')).toBe(String(found.at(-1)?.seq));
  });
});

describe('what a file says', () => {
  test('NDJSON says what the pages say', async () => {
    const recording = log.scene.own.recording.id;
    const whole = linesOf(await search({ recording, format: 'ndjson' }));
    expect(whole).toEqual(jsonOf<{ entries: unknown[] }>(await search({ recording }), 200).entries);
  });

  test('FHIR: one AuditEvent for each, a patient by key only', async () => {
    const { id: recording } = await log.people.deliver({ callerNumber: CALLER });
    await log.people.open(log.scene.own.nurse, recording);
    const found = await log.people.entries({ recording, action: 'playback.opened' });
    const [resource, ...rest] = linesOf(
      await search({ recording, action: 'playback.opened', format: 'fhir' }),
    );
    expect(rest).toEqual([]);
    expect(resource).toMatchObject({
      resourceType: 'AuditEvent',
      meta: { profile: ['https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead'] },
      outcome: '0',
    });
    expect(JSON.stringify(resource)).toContain(`"value":"${found[0]?.subject}"`);
    expect(JSON.stringify(resource)).not.toContain('1740661');
  });

  test('of the two questions, with what was heard', async () => {
    const { id } = await log.people.deliver();
    await hear(id, [
      [0, 10],
      [20, 30],
    ]);
    const [head, row] = cellsOf(await get(`recordings/${id}/hearers?format=csv`));
    expect(row?.[head?.indexOf('heardParts') ?? -1]).toBe('0-10 20-30');
    const [line] = linesOf(await get(`recordings/${id}/hearers`, { headers: { accept: NDJSON } }));
    expect(line).toMatchObject({
      action: 'playback.opened',
      heard: {
        parts: [
          [0, 10],
          [20, 30],
        ],
      },
    });
    const did = await get(`actors/${log.scene.own.nurse.id}/activity?format=csv&from=2020-01-01T00:00:00Z`);
    expect(cellsOf(did).length).toBe(Number(did.headers['x-entry-count']) + 1);
  });
});

describe('a whole file', () => {
  test('more than one page of it is whole, in order, and ends although the log goes on growing', async () => {
    const token = await log.scene.home.compliance.token();
    const reading = async (): Promise<void> => {
      for (let i = 0; i < 60; i += 1)
        await log.scene.http.post('/v1/audit/search', { token, json: { limit: 1 } });
    };
    await Promise.all(Array.from({ length: 8 }, reading));
    const wanted = { action: 'log.read', actor: log.scene.home.compliance.id };
    const [file] = await Promise.all([search({ ...wanted, format: 'ndjson' }), reading(), reading()]);
    const seqs = linesOf(file).map(({ seq }) => seq as number);
    expect(seqs.length).toBeGreaterThan(480);
    expect(seqs).toHaveLength(Number(file.headers['x-entry-count']));
    expect(new Set(seqs).size).toBe(seqs.length);
    const taken = await newestOf('log.exported');
    expect(taken.detail).toMatchObject({
      count: seqs.length,
      first: Math.min(...seqs),
      last: Math.max(...seqs),
    });
    // What is told of the file stands behind everything that is in it.
    expect(taken.seq).toBeGreaterThan(Math.max(...seqs));
  });

  test('taking it is an entry: by what kinds of criteria, never which values', async () => {
    await search({ callerNumber: CALLER, from: '2020-01-01T00:00:00Z', format: 'csv' });
    const { detail, actor } = await newestOf('log.exported');
    expect(actor.id).toBe(log.scene.home.compliance.id);
    expect(detail).toMatchObject({ format: 'csv', criteria: ['callerNumber', 'from'] });
    expect(JSON.stringify(detail)).not.toContain('174');
  });
});

describe('what cannot be given', () => {
  const acceptable = ['text/html', 'application/fhir+json', 'application/json;q=0', 'x'.repeat(2000)];
  test.each(acceptable)('Accept, which wants none of it: %#', async (accept) => {
    const [found, asked] = [await search({}, { headers: { accept } }), log.scene.own.recording.id];
    const { detail } = expectProblem(found, 406, 'not_acceptable');
    expect(detail).toContain('text/csv');
    expectProblem(await get(`recordings/${asked}/hearers`, { headers: { accept } }), 406, 'not_acceptable');
  });

  test('a page of a file, an unknown form, more than a page holds', async () => {
    expectProblem(await search({ format: 'csv', limit: 10 }), 400, 'invalid_request');
    const { next } = jsonOf<{ next: string }>(await search({ limit: 1 }), 200);
    expectProblem(await search({ format: 'csv', cursor: next }), 400, 'invalid_request');
    expectProblem(await search({ format: 'xlsx' }), 400, 'invalid_request');
    const path = `recordings/${log.scene.own.recording.id}/hearers`;
    for (const query of [
      'limit=0',
      'limit=201',
      'limit=x',
      'limit=1&limit=2',
      'format=xml',
      'cursor=x.',
      'x=1',
    ])
      expectProblem(await get(`${path}?${query}`), 400, 'invalid_request');
    expectProblem(await get('recordings/1/hearers'), 400, 'invalid_request');
  });

  test('to anybody but compliance', async () => {
    const path = `recordings/${log.scene.own.recording.id}/hearers`;
    for (const who of [log.scene.own.nurse, log.scene.home.admin]) {
      expectProblem(await get(path, {}, who), 403, 'forbidden');
      expectProblem(await search({ format: 'csv' }, {}, who), 403, 'forbidden');
    }
    expectProblem(await get(path, {}, log.scene.installationAuditor), 404, 'not_found');
  });

  test('what is not the installation’s, to its auditor', async () => {
    const file = await search({ format: 'ndjson' }, {}, log.scene.installationAuditor);
    const seen = linesOf(file);
    expect(seen.map(({ action }) => action)).toContain('installation.created');
    const named = seen.filter(({ organisation }) => organisation !== null);
    expect(new Set(named.map(({ action }) => action))).toEqual(new Set(['organisation.changed']));
  });
});

const forge = (recording: string, from: string, to: string): Promise<void> =>
  inDatabase(
    log.scene.folder,
    async (client) => {
      await client.query('ALTER TABLE audit.entry DISABLE TRIGGER refuse_change');
      const text = `UPDATE audit.entry SET body = replace(body, $2, $3) WHERE (facts).recording = $1
        AND (facts).action = 'recording.stored'`;
      await client.query(text, [recording, from, to]);
      await client.query('ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER refuse_change');
    },
    'superuser',
  );

test('an entry that was changed in the database is in no file: the answer is a problem, or is cut off', async () => {
  const recording = log.scene.own.recording.id;
  await forge(recording, '"outcome":"success"', '"outcome":"failed"');
  for (const format of ['csv', 'ndjson', 'fhir']) {
    const reply = await search({ recording, format });
    expectProblem(reply, 502, 'integrity_failure');
    expect(reply.headers).not.toHaveProperty('content-disposition');
  }
  // It is one of the oldest, far behind the first page: a file that had begun ends without its end.
  await expect(search({ format: 'csv' })).rejects.toThrow(/aborted|ECONNRESET|hang up/);
  await forge(recording, '"outcome":"failed"', '"outcome":"success"');
  expect((await search({ format: 'csv' })).status).toBe(200);
});

test('a file of nothing has its head', async () => {
  const reply = await search({ recording: '00000000-0000-4000-8000-000000000000', format: 'csv' });
  expect([reply.status, reply.headers['x-entry-count'], cellsOf(reply).length]).toEqual([200, '0', 1]);
  const bare = await search({ recording: '00000000-0000-4000-8000-000000000000', format: 'ndjson' });
  expect([bare.status, bare.text]).toEqual([200, '']);
});
