import type pg from 'pg';
import type { EntryFacts } from '../core/audit/facts.ts';
import type { StoredEntry, Unfound } from '../core/audit/log-rows.ts';
import { isDamage } from './append-failure.ts';
import { installationActions, usualActions } from './indexed-actions.ts';

/** The indexes by which people's searches find entries, and which entries each must give. */
type Key = 'organisation' | 'actor' | 'recording' | 'subject' | 'unit' | 'action' | 'outcome' | 'purpose';
type SearchIndex = {
  readonly name: string;
  /** What it is looked up by, before time and place; the second may be null in it. */
  readonly keys: readonly Key[];
  /** As the migration says it; none: it has every entry that has the key. */
  readonly where?: string;
  readonly holds: (facts: EntryFacts) => boolean;
};

const types: Readonly<Record<Key, string>> = {
  organisation: 'uuid',
  recording: 'uuid',
  unit: 'uuid',
  actor: 'text',
  subject: 'text',
  action: 'text',
  outcome: 'text',
  purpose: 'text',
};

/** A stored entry says its action as text, whatever it says. */
const usual: readonly string[] = usualActions;
const ofInstallation: readonly string[] = installationActions;
const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ');

export const searchIndexes: readonly SearchIndex[] = [
  ...(['organisation', 'actor', 'recording', 'subject'] as const).map((key) => ({
    name: `entry_${key}`,
    keys: [key],
    holds: (facts: EntryFacts) => facts[key] !== null,
  })),
  {
    name: 'entry_unit',
    keys: ['unit'],
    holds: (facts) => facts.unit !== null,
    where: '(e.facts).unit IS NOT NULL',
  },
  {
    name: 'entry_action',
    keys: ['action', 'organisation'],
    holds: (facts) => !usual.includes(facts.action),
    where: `(e.facts).action NOT IN (${quoted(usualActions)})`,
  },
  {
    name: 'entry_outcome',
    keys: ['outcome', 'organisation'],
    holds: (facts) => facts.outcome !== 'success',
    where: `(e.facts).outcome <> 'success'`,
  },
  {
    name: 'entry_purpose',
    keys: ['purpose', 'organisation'],
    holds: (facts) => facts.purpose !== null && facts.purpose !== 'care',
    where: `(e.facts).purpose <> 'care'`,
  },
  {
    name: 'entry_installation',
    keys: [],
    holds: (facts) => facts.organisation === null || ofInstallation.includes(facts.action),
    where: `((e.facts).organisation IS NULL OR (e.facts).action IN (${quoted(installationActions)}))`,
  },
];

/** Has the planner follow the index that has the wanted order, and no other: it would rather sort a small log. */
export const FOLLOW_INDEXES = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
  SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off; SET LOCAL jit = off`;

/** Entries with one key, that lie between these times. */
type Group = { readonly key: readonly (string | null)[]; earliest: number; latest: number };

const groupsOf = ({ keys }: SearchIndex, entries: readonly { readonly facts: EntryFacts }[]): Group[] => {
  const groups = new Map<string, Group>();
  for (const { facts } of entries) {
    const key = keys.map((one) => facts[one]);
    const name = JSON.stringify(key);
    const group = groups.get(name) ?? { key, earliest: facts.at, latest: facts.at };
    group.earliest = Math.min(group.earliest, facts.at);
    group.latest = Math.max(group.latest, facts.at);
    groups.set(name, group);
  }
  return [...groups.values()];
};

const isNullable = (key: readonly (string | null)[]): boolean => key.includes(null);

/** $1, $2: places from, and behind; $3, $4: times of each group; $5…: its keys that are not null. */
const statementOf = ({ keys, where }: SearchIndex, withNull: boolean): string => {
  const last = keys.at(-1);
  const given = withNull ? keys.slice(0, -1) : keys;
  const columns = given.map((key, i) => `$${i + 5}::${types[key]}[]`);
  const conditions = [
    ...given.map((key, i) => `(e.facts).${key} = k.k${i}`),
    ...(withNull ? [`(e.facts).${last} IS NULL`] : []),
    ...(where === undefined ? [] : [where]),
  ];
  const order = [...keys.map((key) => `(e.facts).${key}`), '(e.facts).at', 'e.seq'];
  return `SELECT found.seq FROM unnest(${['$3::bigint[]', '$4::bigint[]', ...columns].join(', ')})
    AS k (${['earliest', 'latest', ...given.map((_, i) => `k${i}`)].join(', ')})
    CROSS JOIN LATERAL (
      SELECT e.seq FROM audit.entry e
       WHERE ${[...conditions, '(e.facts).at >= k.earliest', '(e.facts).at <= k.latest'].join(' AND ')}
         AND e.seq >= $1::bigint AND e.seq < $2::bigint ORDER BY ${order.join(', ')}) AS found`;
};

type Client = Pick<pg.ClientBase, 'query'>;
type Run = readonly [from: number, to: number];

const seqsBy = async (client: Client, index: SearchIndex, groups: readonly Group[], [from, to]: Run) => {
  const seqs = new Set<number>();
  for (const withNull of [false, true]) {
    const own = groups.filter(({ key }) => isNullable(key) === withNull);
    if (own.length === 0) continue;
    const given = withNull ? index.keys.slice(0, -1) : index.keys;
    const { rows } = await client.query<{ seq: string }>({
      name: `by ${index.name}${withNull ? ' of nobody' : ''}`,
      text: statementOf(index, withNull),
      values: [
        ...[from, to, own.map(({ earliest }) => earliest), own.map(({ latest }) => latest)],
        ...given.map((_, i) => own.map(({ key }) => key[i])),
      ],
    });
    for (const { seq } of rows) seqs.add(Number(seq));
  }
  return seqs;
};

/**
 * Looks each entry up in every index that people's searches follow, as a search would, and tells of those that one does not
 * give. Call within a transaction, after {@link FOLLOW_INDEXES}.
 */
export const createIndexLookup = (client: Client) => {
  const unreadable = new Set<string>();

  const unfoundBy = async (index: SearchIndex, entries: readonly StoredEntry[], run: Run) => {
    const held = entries.filter(
      (entry): entry is StoredEntry & { readonly facts: EntryFacts } =>
        entry.facts !== null && index.holds(entry.facts),
    );
    if (held.length === 0) return [];
    await client.query('SAVEPOINT lookup');
    try {
      const seqs = await seqsBy(client, index, groupsOf(index, held), run);
      return held.filter(({ seq }) => !seqs.has(seq)).map(({ seq }) => ({ seq, index: index.name }));
    } catch (error) {
      if (!isDamage(error)) throw error;
      await client.query('ROLLBACK TO lookup');
      unreadable.add(index.name);
      return [];
    } finally {
      await client.query('RELEASE lookup').catch(() => undefined);
    }
  };

  return {
    /** Of the entries read from [from, to). */
    unfound: async (entries: readonly StoredEntry[], run: Run): Promise<readonly Unfound[]> => {
      const found: Unfound[] = [];
      for (const index of searchIndexes) found.push(...(await unfoundBy(index, entries, run)));
      return found;
    },
    /** Indexes that the database could not read everywhere. */
    unreadable: (): readonly string[] => [...unreadable],
  };
};
