import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hearingsStatement } from '../../../src/audit/hearings.ts';
import type { LogSearch } from '../../../src/audit/reader.ts';
import {
  countStatement,
  formatCursor,
  type Statement,
  searchStatement,
  tallyStatement,
} from '../../../src/audit/search.ts';
import { hearingActions } from '../../../src/core/audit/hearing-lists.ts';
import { fixedId } from '../../support/audit-events.ts';
import {
  actorOf,
  archiveOrganisation,
  BUSY_START,
  busyOrganisation,
  fillBusyLog,
  recordingOf,
  subjectOf,
  unitOf,
} from '../../support/busy-log.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/**
 * No search may read a whole log. What is asserted is what PostgreSQL did on a filled, analysed table, whose sequential scans
 * are left as cheap as they are: which index it followed, and how many rows it looked at for a page.
 */
const ENTRIES = 40_000;
const PAGE = 50;
const officer = { scope: 'organisation', organisation: busyOrganisation } as const;
/** Where calls are only delivered (busy-log.ts). */
const archive = { scope: 'organisation', organisation: archiveOrganisation } as const;
const auditor = { scope: 'installation' } as const;

let database: TestDatabase;
let app: pg.Client;
beforeAll(async () => {
  database = await startTestDatabase();
  await fillBusyLog(await database.connect('superuser'), ENTRIES);
  app = await database.connect('app');
});
afterAll(() => database.close());

type Plan = {
  readonly 'Node Type': string;
  readonly 'Index Name'?: string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
};

const nodesOf = (plan: Plan): readonly Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

/** How entries were reached, and how many were looked at. */
const workOf = async ({ text, values }: Statement) => {
  const { rows } = await app.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, [...values]);
  const nodes = nodesOf((rows[0]['QUERY PLAN'] as [{ Plan: Plan }])[0].Plan);
  const scans = nodes.filter((node) => node['Relation Name']?.startsWith('entry_'));
  const indexes = nodes.flatMap((node) =>
    node['Index Name']?.startsWith('entry_') ? [node['Index Name'].replace(/^entry_\d+_|_idx$/g, '')] : [],
  );
  const looked = scans.map(
    (node) => (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
  );
  return {
    indexes: [...new Set(indexes)].sort(),
    kinds: scans.map((node) => node['Node Type']),
    looked: looked.reduce((sum, one) => sum + one, 0),
  };
};

const later = BUSY_START + (ENTRIES / 2) * 1000;

/** Search, the index it follows, and how many entries it may look at. */
const pages: readonly [string, Omit<LogSearch, 'audience'> & Partial<LogSearch>, string, number][] = [
  ['of everything', {}, 'organisation_at_seq_action_purpose', PAGE + 1],
  [
    'further on',
    { cursor: formatCursor({ at: later, seq: ENTRIES / 2 }) },
    'organisation_at_seq_action_purpose',
    PAGE + 1,
  ],
  ['of a time', { from: later - 60_000, to: later }, 'organisation_at_seq_action_purpose', PAGE + 1],
  ['by actor', { actor: actorOf(7) }, 'actor_at_seq', 2 * PAGE],
  ['by recording', { recording: recordingOf(7) }, 'recording_at_seq', PAGE],
  ['by subject', { subject: subjectOf(7) }, 'subject_at_seq', PAGE],
  [
    'by a subject under three versions of the key',
    { subjects: [subjectOf(7), `2:${'a'.repeat(32)}`, `3:${'b'.repeat(32)}`] },
    'subject_at_seq',
    PAGE,
  ],
  ['by unit', { unit: unitOf(7) }, 'unit_at_seq', 2 * PAGE],
  ['by a rare action', { action: 'hold.placed' }, 'action_organisation_at_seq', PAGE + 1],
  [
    'by several rare actions',
    { actions: ['hold.placed', 'recording.erased', 'user.changed'] },
    'action_organisation_at_seq',
    3 * (PAGE + 1),
  ],
  ['by a usual action', { action: 'playback.opened' }, 'organisation_at_seq_action_purpose', PAGE + 1],
  [
    'by several usual actions',
    { actions: ['playback.opened', 'playback.heard'] },
    'organisation_at_seq_action_purpose',
    PAGE + 1,
  ],
  [
    'by a usual action that never happened in an archive',
    { audience: archive, action: 'playback.opened' },
    'organisation_at_seq_action_purpose',
    0,
  ],
  [
    'by unit and outcome',
    { unit: unitOf(7), outcome: 'denied' },
    'outcome_organisation_at_seq_unit_actor',
    PAGE + 1,
  ],
  [
    'by actor and outcome',
    { actor: actorOf(7), outcome: 'denied' },
    'outcome_organisation_at_seq_unit_actor',
    PAGE + 1,
  ],
  ['by outcome', { outcome: 'denied' }, 'outcome_organisation_at_seq_unit_actor', PAGE + 1],
  ['by purpose', { purpose: 'quality' }, 'purpose_organisation_at_seq', PAGE + 1],
  ['by a purpose that was never given', { purpose: 'supervision' }, 'purpose_organisation_at_seq', 0],
  [
    'by actor, action and time',
    { actor: actorOf(7), actions: ['playback.opened'], to: later },
    'actor_at_seq',
    3 * PAGE,
  ],
  ['of the installation', { audience: auditor }, 'at_seq', PAGE + 1],
  ['of refused sessions', { audience: auditor, action: 'session.refused' }, 'at_seq', PAGE + 1],
  [
    'by what nearly all have in common',
    { action: 'playback.opened', outcome: 'success', purpose: 'care' },
    'organisation_at_seq_action_purpose',
    PAGE + 1,
  ],
  ['of nobody', { actor: fixedId(1) }, 'actor_at_seq', 0],
];

describe('a page', () => {
  test.each(pages)(
    '%s follows its index and looks at little more than it shows',
    async (_, query, index, most) => {
      const { indexes, looked, kinds } = await workOf(
        searchStatement({ audience: officer, limit: PAGE, ...query }),
      );
      expect(indexes).toEqual([index]);
      expect(kinds.filter((kind) => !/^(Bitmap )?(Index|Heap)/.test(kind))).toEqual([]);
      expect(looked).toBeLessThanOrEqual(most);
    },
  );

  test('several rare and usual actions at once: one walk for each, merged', async () => {
    const actions = ['playback.opened', 'recording.viewed', 'hold.placed', 'recording.erased'] as const;
    const { indexes, looked } = await workOf(searchStatement({ audience: officer, limit: PAGE, actions }));
    expect(indexes).toEqual(['action_organisation_at_seq', 'organisation_at_seq_action_purpose']);
    expect(looked).toBeLessThanOrEqual(10 * PAGE);
  });
});

test('actions of the installation that never happened are looked for in indexes', async () => {
  const query = { audience: auditor, limit: PAGE, actions: ['key.rotated', 'log.verified'] } as const;
  const { looked, kinds } = await workOf(searchStatement(query));
  expect(kinds).not.toContain('Seq Scan');
  expect(looked).toBe(0);
});

describe('the two questions', () => {
  test('who heard a recording: one statement along the recording’s index', async () => {
    const query = { audience: officer, recording: recordingOf(7), limit: PAGE };
    const { indexes, looked } = await workOf(hearingsStatement(query));
    // By place: whether the entry is there that a statement belongs to.
    expect(indexes).toEqual(['pkey', 'recording_at_seq']);
    // Once for the page, once for what players stated.
    expect(looked).toBeLessThanOrEqual(2 * Math.ceil(ENTRIES / 4999));
  });

  test.each([
    ['a day', BUSY_START + 6 * 3_600_000, 5 * 3_600_000],
    ['a minute in which much else happened', BUSY_START + 7000 + 4999 * 1000, 60_000],
    ['nothing', BUSY_START - 1000, 500],
  ])(
    'who heard it within %s: along the same index, also as it is counted for a file',
    async (_, from, length) => {
      const query = { audience: officer, recording: recordingOf(7), from, to: from + length };
      const statements = [
        hearingsStatement({ ...query, limit: PAGE }),
        countStatement({ ...query, actions: hearingActions, size: ENTRIES }, 100_001),
      ];
      for (const statement of statements) {
        const { indexes, looked } = await workOf(statement);
        expect(indexes.filter((index) => index !== 'pkey')).toEqual(['recording_at_seq']);
        expect(looked).toBeLessThanOrEqual(2 * Math.ceil(ENTRIES / 4999));
      }
    },
  );

  test('what somebody did: counted along the actor’s index', async () => {
    const query = { audience: officer, actor: actorOf(7) };
    for (const statement of [tallyStatement(query, 100_000), countStatement(query, 100_000)]) {
      const { indexes, looked } = await workOf(statement);
      expect(indexes).toEqual(['actor_at_seq']);
      expect(looked).toBeLessThanOrEqual(Math.ceil(ENTRIES / 199));
    }
  });

  test('counting stops where it was told to', async () => {
    const { looked } = await workOf(countStatement({ audience: officer }, 100));
    // Found without an order, which is the quickest way to a hundred of anything.
    expect(looked).toBeLessThanOrEqual(200);
  });
});
