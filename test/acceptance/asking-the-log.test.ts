import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { asksTheLog } from '../support/asked-log.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import type { Entry } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** What people ask of the access log, as a stranger's program asks it. */
const CALLER = '070-174 06 61';
const PERSON = '19121212-1212';

const log = asksTheLog();
const { get, search, hear, newestOf } = log;

type Hearers = {
  readonly opened: readonly {
    readonly playback: string;
    readonly at: string;
    readonly actor: { readonly id: string };
    readonly heard: { readonly parts: number[][] } | null;
  }[];
  readonly refused: readonly { readonly reason: string; readonly actor: { readonly id: string } }[];
  readonly takenOut: readonly unknown[];
  readonly erased: readonly { readonly actor: { readonly id: string } }[];
  readonly next: string | null;
};
const hearers = async (id: string, query = ''): Promise<Hearers> =>
  jsonOf(await get(`recordings/${id}/hearers${query}`), 200);

describe('who heard this recording', () => {
  test('in one call: opened with purpose, the parts as stated, refusals apart; also after it was erased', async () => {
    const { id } = await log.people.deliver({ callerNumber: CALLER });
    const opened = await hear(id, [
      [0, 400],
      [300, 900],
    ]);
    await log.people.open(log.scene.other.nurse, id);
    await log.people.open(log.scene.own.nurse, id, {});
    const told = {
      opened: [
        {
          playback: opened.playbackId,
          actor: { type: 'user', id: log.scene.own.nurse.id, role: 'nurse' },
          purpose: 'care',
          unit: log.scene.own.id,
          heard: { statements: 1, parts: [[0, 900]], partCount: 1 },
        },
      ],
      refused: [
        { reason: 'no_purpose', actor: { id: log.scene.own.nurse.id } },
        { reason: 'other_unit', actor: { id: log.scene.other.nurse.id } },
      ],
      takenOut: [],
      next: null,
    };
    expect(await hearers(id)).toMatchObject({ ...told, erased: [], heardComplete: true });
    expect(await newestOf('log.read')).toMatchObject({ outcome: 'success', detail: { count: 3 } });

    const token = await log.scene.home.admin.token();
    const erased = await log.scene.http.delete(`/v1/recordings/${id}`, {
      token,
      json: { reason: 'patient_request' },
    });
    expect(erased.status).toBe(204);
    expect(await hearers(id)).toMatchObject({
      ...told,
      erased: [{ actor: { id: log.scene.home.admin.id } }],
    });
  });

  test('a recording that nobody heard: empty, not missing', async () => {
    const { id } = await log.people.deliver();
    expect(await hearers(id)).toMatchObject({ opened: [], refused: [], erased: [] });
  });

  test('another organisation’s is like one that does not exist, also when somebody of ours tried to hear it', async () => {
    const theirs = log.scene.abroad.recording.id;
    await log.people.open(log.scene.own.nurse, theirs);
    const nothing = randomUUID();
    await log.people.open(log.scene.own.nurse, nothing);
    for (const accept of ['application/json', 'text/csv', 'application/fhir+ndjson']) {
      const [one, other] = await Promise.all(
        [theirs, nothing].map((id) => get(`recordings/${id}/hearers`, { headers: { accept } })),
      );
      const problem = expectProblem(one as Reply, 404, 'not_found');
      expect({ ...problem, requestId: '' }).toEqual({
        ...expectProblem(other as Reply, 404, 'not_found'),
        requestId: '',
      });
    }
    expect(await newestOf('log.read')).toMatchObject({ outcome: 'denied', detail: { count: 0 } });
    expect((await get(`recordings/${theirs}/hearers`, {}, log.scene.foreign.compliance)).status).toBe(200);
  });

  test('page by page, each entry once, while the recording is being played', async () => {
    const { id } = await log.people.deliver();
    const played: string[] = [];
    for (let i = 0; i < 7; i += 1) played.unshift((await hear(id, [[i, i + 1]])).playbackId);
    const found: Hearers['opened'][number][] = [];
    for (let next: string | null = ''; next !== null; ) {
      const page: Hearers = await hearers(id, `?limit=2${next === '' ? '' : `&cursor=${next}`}`);
      found.push(...page.opened);
      await log.people.open(log.scene.own.nurse, id);
      next = page.next;
    }
    expect(found.map(({ playback }) => playback)).toEqual(played);
    expect(found.map(({ heard }) => heard?.parts)).toEqual([6, 5, 4, 3, 2, 1, 0].map((i) => [[i, i + 1]]));
  });
});

type File = { readonly id: string; readonly heard: { readonly parts: number[][] } | null };
/** The page, and what the file of the same question has. */
const both = async (id: string, period: Record<string, string>) => {
  const query = new URLSearchParams(period).toString();
  const page = await hearers(id, `?${query}`);
  const file = await get(`recordings/${id}/hearers?format=ndjson&${query}`);
  expect([file.status, file.headers['x-entry-count']]).toEqual([
    200,
    String(file.text.split('\n').length - 1),
  ]);
  const lines = file.text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as File & { seq: number });
  return { page, lines };
};

describe('who heard this recording, within a time', () => {
  test('what was opened, refused and erased in it; `to` is not included; file and page agree', async () => {
    const { id } = await log.people.deliver();
    for (let i = 0; i < 3; i += 1) {
      await log.people.open(log.scene.own.nurse, id);
      await log.people.open(log.scene.other.nurse, id);
      await setTimeout(5);
    }
    const [third, second, first] = (await hearers(id)).opened;
    const cut = { from: second?.at ?? '', to: third?.at ?? '' };
    const { page, lines } = await both(id, cut);
    expect(page.opened.map(({ playback }) => playback)).toEqual([second?.playback]);
    expect(page.refused).toHaveLength(1);
    expect(lines).toHaveLength(2);
    const before = await both(id, { to: second?.at ?? '' });
    expect(before.page.opened.map(({ playback }) => playback)).toEqual([first?.playback]);
    expect(before.lines).toHaveLength(2);
    const after = await both(id, { from: third?.at ?? '' });
    expect(after.page.opened.map(({ playback }) => playback)).toEqual([third?.playback]);
    expect(await both(id, { from: '2020-01-01T00:00:00Z', to: '2020-01-01T00:00:00+00:00' })).toMatchObject({
      page: { opened: [], refused: [], takenOut: [], erased: [], heardComplete: true, next: null },
      lines: [],
    });
  });

  test('what a player stated after the period belongs to the playback that was opened in it', async () => {
    const { id } = await log.people.deliver();
    const early = await log.people.listening(log.scene.own.nurse, id);
    await setTimeout(5);
    const late = await log.people.listening(log.scene.own.nurse, id);
    const [opened] = (await hearers(id)).opened;
    const to = opened?.at ?? '';
    for (const [{ playbackId, token }, spans] of [
      [early, [[0, 500]]],
      [late, [[600, 900]]],
      [early, [[400, 700]]],
    ] as const)
      expect(
        (await log.scene.http.post(`/v1/playbacks/${playbackId}/heard`, { token, json: { spans } })).status,
      ).toBe(204);
    const { page, lines } = await both(id, { to });
    expect(page.opened).toMatchObject([
      { playback: early.playbackId, heard: { statements: 2, parts: [[0, 700]] } },
    ]);
    expect(lines).toMatchObject([{ id: early.playbackId, heard: { parts: [[0, 700]] } }]);
    // Of a statement that fell into the period, of a playback that did not, nothing is told.
    const { page: later } = await both(id, { from: to });
    expect(later.opened).toMatchObject([{ playback: late.playbackId, heard: { parts: [[600, 900]] } }]);
  });
});

describe('a time within which a recording was heard', () => {
  test('page by page within it, and the file’s entry names what was chosen by', async () => {
    const { id } = await log.people.deliver();
    for (let i = 0; i < 5; i += 1) {
      await log.people.open(log.scene.own.nurse, id);
      await setTimeout(5);
    }
    const all = (await hearers(id)).opened;
    const period = `from=${encodeURIComponent(all[3]?.at ?? '')}&to=${encodeURIComponent(all[0]?.at ?? '')}`;
    const first = await hearers(id, `?limit=2&${period}`);
    const second = await hearers(id, `?limit=2&${period}&cursor=${first.next}`);
    expect([...first.opened, ...second.opened]).toEqual(all.slice(1, 4));
    expect(second.next).toBeNull();
    await get(`recordings/${id}/hearers?format=csv&${period}`);
    expect((await newestOf('log.exported')).detail).toMatchObject({
      format: 'csv',
      criteria: ['recording', 'hearers', 'from', 'to'],
      count: 3,
    });
  });

  test('one that ends before it begins, or is no time, is refused, as page and as file, and nothing is told of it', async () => {
    const { id } = await log.people.deliver();
    const before = await newestOf('log.exported');
    for (const [query, where] of [
      ['from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'from'],
      ['from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00.001%2B01:00', 'from'],
      ['from=yesterday', 'querystring/from'],
      ['to=2026-01-01', 'querystring/to'],
      ['to=2026-02-30T00:00:00', 'querystring/to'],
      ['from=2026-01-01T00:00:00Z&from=2026-01-01T00:00:00Z', 'querystring/from'],
    ])
      for (const format of ['', '&format=csv', '&format=ndjson']) {
        const reply = await get(`recordings/${id}/hearers?${query}${format}`);
        expect(expectProblem(reply, 400, 'invalid_request')).toMatchObject({ faults: [{ where }] });
      }
    expect((await newestOf('log.exported'))?.seq).toBe(before?.seq);
  });
});

test('a search by recording finds who was refused it for the role; ids of nothing and of others are not repeated', async () => {
  const { id } = await log.people.deliver();
  const refused = [log.scene.home.admin, log.scene.home.compliance];
  const nothing = '0b8a1f0e-5a58-4f0e-9c1f-7f6f2a5b9d11';
  for (const person of refused)
    for (const recording of [id, nothing, log.scene.abroad.recording.id])
      expect((await log.people.open(person, recording)).status).toBe(403);
  const found = await log.people.entries({ recording: id, action: 'access.denied' });
  expect(found.map(({ actor }) => actor.id).sort()).toEqual(refused.map((person) => person.id).sort());
  for (const recording of [nothing, log.scene.abroad.recording.id])
    expect(await log.people.entries({ recording, action: 'access.denied' })).toEqual([]);
});

describe('what this person did', () => {
  type Activity = {
    readonly counts:
      | readonly { readonly action: string; readonly outcome: string; readonly count: number }[]
      | null;
    readonly countsComplete: boolean | null;
    readonly entries: readonly Entry[];
    readonly next: string | null;
  };
  const activity = async (id: string, query = ''): Promise<Activity> =>
    jsonOf(await get(`actors/${id}/activity${query}`), 200);

  test('in one call: how often each thing, and the entries by page', async () => {
    const nurse = await log.scene.stage.user(log.scene.home.admin, 'nurse', [log.scene.own.id]);
    // She has chosen a password, and nothing else yet.
    const firstDay = ['session.closed', 'user.changed', 'session.opened'];
    const before = await activity(nurse.id);
    expect(before.entries.map(({ action }) => action)).toEqual(firstDay);
    const { id } = await log.people.deliver();
    for (let i = 0; i < 3; i += 1) await log.people.open(nurse, id);
    await log.people.open(nurse, log.scene.other.recording.id);
    const whole = await activity(nurse.id);
    const counts = [
      { action: 'playback.denied', outcome: 'denied', count: 1 },
      { action: 'playback.opened', outcome: 'success', count: 3 },
      { action: 'session.closed', outcome: 'success', count: 1 },
      { action: 'session.opened', outcome: 'success', count: 2 },
      { action: 'user.changed', outcome: 'success', count: 1 },
    ];
    expect(whole).toMatchObject({ counts, countsComplete: true, next: null });
    expect(whole.entries.map(({ action }) => action)).toEqual([
      'playback.denied',
      ...Array<string>(3).fill('playback.opened'),
      'session.opened',
      ...firstDay,
    ]);
    const first = await activity(nurse.id, '?limit=2');
    const second = await activity(nurse.id, `?limit=200&cursor=${first.next}`);
    expect(second).toMatchObject({ counts: null, countsComplete: null });
    expect([...first.entries, ...second.entries]).toEqual(whole.entries);
  });

  test('within a time', async () => {
    const id = log.scene.own.nurse.id;
    const everything = await activity(id, '?limit=200');
    const [newest] = everything.entries as unknown as readonly { at: string }[];
    const until = await activity(id, `?to=${encodeURIComponent(newest?.at ?? '')}`);
    expect(until.entries.some(({ seq }) => seq === everything.entries[0]?.seq)).toBe(false);
    expect(await activity(id, '?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z')).toMatchObject({
      counts: [],
      entries: [],
    });
    expectProblem(await get(`actors/${id}/activity?from=yesterday`), 400, 'invalid_request');
  });

  test('of a telephony system too; another organisation’s is like one that does not exist', async () => {
    expect((await activity(log.scene.home.source.id)).counts).toContainEqual(
      expect.objectContaining({ action: 'recording.stored' }),
    );
    for (const id of [
      log.scene.abroad.nurse.id,
      log.scene.foreign.source.id,
      log.scene.installationAdmin.id,
      randomUUID(),
    ])
      expectProblem(await get(`actors/${id}/activity`), 404, 'not_found');
  });
});

describe('by a patient’s number, in the body', () => {
  test('the caller’s number, however it is written, and the identity number', async () => {
    const called = await log.people.deliver({ callerNumber: CALLER });
    const named = await log.people.deliver({ personalNumber: PERSON, callerNumber: '070-174 06 62' });
    const recordings = async (json: object): Promise<(string | null)[]> =>
      jsonOf<{ entries: Entry[] }>(await search({ action: 'recording.stored', ...json }), 200).entries.map(
        ({ recording }) => recording,
      );
    for (const callerNumber of [CALLER, '+46701740661', '0046 70 174 06 61'])
      expect(await recordings({ callerNumber })).toContain(called.id);
    expect(await recordings({ personalNumber: PERSON })).toEqual([named.id]);
    expect(await recordings({ personalNumber: '191212121212' })).toEqual([named.id]);
    expect(await recordings({ callerNumber: '070-174 06 63' })).toEqual([]);
    const abroad = await search({ callerNumber: CALLER }, {}, log.scene.foreign.compliance);
    expect(jsonOf(abroad, 200)).toEqual({ entries: [], next: null });
  });

  test('several actions at once', async () => {
    const { id } = await log.people.deliver();
    await log.people.open(log.scene.own.nurse, id);
    await log.people.open(log.scene.other.nurse, id);
    const found = await log.people.entries({
      recording: id,
      actions: ['playback.opened', 'playback.denied'],
    });
    expect(found.map(({ action }) => action)).toEqual(['playback.opened', 'playback.denied']);
    expectProblem(await search({ actions: [] }), 400, 'invalid_request');
    expectProblem(await search({ actions: ['nothing'] }), 400, 'invalid_request');
  });

  test('what is none is refused, and nothing of it is repeated', async () => {
    for (const json of [
      { callerNumber: '112' },
      { personalNumber: '19121212-1213' },
      { personalNumber: PERSON, callerNumber: CALLER },
    ]) {
      const reply = await search(json);
      expectProblem(reply, 400, 'invalid_request');
      expect(reply.text).not.toMatch(/1213|174|112\b/);
    }
  });
});

test('the log still verifies', async () => {
  const { code, stdout } = await log.scene.folder.cli('verify', '--json');
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true }]);
});

test('the entry of a playback taken out of the log: not nobody, but that the log is damaged, as page and as file', async () => {
  const { id } = await log.people.deliver();
  const { playbackId } = await hear(id, [[0, 100]]);
  expect((await hearers(id)).opened).toHaveLength(1);
  await inDatabase(
    log.scene.folder,
    async (client) => {
      await client.query('ALTER TABLE audit.entry DISABLE TRIGGER USER');
      const text = `DELETE FROM audit.entry e USING audit.leaf l WHERE l.seq = e.seq AND l.event_id = $1`;
      expect((await client.query(text, [playbackId])).rowCount).toBe(1);
    },
    'superuser',
  );
  for (const accept of ['application/json', 'text/csv', 'application/x-ndjson']) {
    const reply = await get(`recordings/${id}/hearers`, { headers: { accept } });
    expectProblem(reply, 502, 'integrity_failure');
    expect(reply.text).not.toContain(playbackId);
  }
});
