import type pg from 'pg';
import type { EntryFacts } from '../core/audit/facts.ts';
import type { LogRows, StoredBatch, StoredEntry, StoredLeaf, Stray } from '../core/audit/log-rows.ts';
import { storedLevels, type TreeNode } from '../core/audit/merkle.ts';
import { createReadableRows } from './readable-rows.ts';
import { createIndexLookup } from './search-indexes.ts';

/** The rows of the log as they lie in a database, page by page, for the verifier. */
type Client = Pick<pg.ClientBase, 'query'>;

/** Entries held in memory at a time. */
const PAGE = 2048;

/** How far beyond the last leaf a stated size is believed: enough to name what is missing. */
const MISSING_NAMED = 1000;

/** Rows outside the log that are named. */
const STRAYS_NAMED = 20;

export type LiveLog = {
  /** Entries the walk goes over. */
  readonly size: number;
  readonly pages: AsyncIterable<LogRows>;
  /** Rows that no page held; asked after the last page. */
  readonly strays: () => Promise<readonly Stray[]>;
};

const sizeOf = async (client: Client): Promise<number> => {
  const { rows } = await client.query<{ head: string; leaves: string }>(
    `SELECT coalesce((SELECT size FROM audit.batch ORDER BY first_seq DESC LIMIT 1), 0) AS head,
            coalesce((SELECT max(seq) + 1 FROM audit.leaf), 0) AS leaves`,
  );
  const { head, leaves } = rows[0]!;
  return Math.min(Number(head), Number(leaves) + MISSING_NAMED);
};

const leavesOf = async (client: Client, from: number, to: number): Promise<readonly StoredLeaf[]> => {
  const { rows } = await client.query<{ seq: string; commitment: Buffer; event_id: string }>({
    name: 'leaves',
    text: 'SELECT seq, commitment, event_id FROM audit.leaf WHERE seq >= $1 AND seq < $2 ORDER BY seq',
    values: [from, to],
  });
  return rows.map((row) => ({ seq: Number(row.seq), commitment: row.commitment, eventId: row.event_id }));
};

type EntryRow = Omit<EntryFacts, 'eventId' | 'at'> & {
  readonly seq: string;
  readonly salt: Buffer;
  readonly body: string;
  readonly event_id: string;
  readonly at: string;
};

const entriesOf = async (client: Client, from: number, to: number): Promise<readonly StoredEntry[]> => {
  const { rows } = await client.query<EntryRow>({
    name: 'entries',
    text: 'SELECT seq, salt, body, (facts).* FROM audit.entry WHERE seq >= $1 AND seq < $2 ORDER BY seq',
    values: [from, to],
  });
  return rows.map(({ seq, salt, body, event_id, at, ...rest }) => ({
    seq: Number(seq),
    salt,
    body,
    facts: { eventId: event_id, at: Number(at), ...rest },
  }));
};

const batchesOf = async (client: Client, from: number, to: number): Promise<readonly StoredBatch[]> => {
  const { rows } = await client.query<{ first_seq: string; size: string; root: Buffer; range: Buffer }>({
    name: 'batches',
    text: 'SELECT first_seq, size, root, range FROM audit.batch WHERE first_seq >= $1 AND first_seq < $2 ORDER BY first_seq',
    values: [from, to],
  });
  return rows.map(({ first_seq, size, root, range }) => ({
    firstSeq: Number(first_seq),
    size: Number(size),
    root,
    range,
  }));
};

/** Nodes whose last leaf is one of [from, to). */
const nodesOf = async (client: Client, from: number, to: number): Promise<readonly TreeNode[]> => {
  const { rows } = await client.query<{ level: number; index: string; hash: Buffer }>({
    name: 'nodes',
    text: `SELECT n.level, n.index, n.hash FROM unnest($3::smallint[]) AS l (level)
             JOIN audit.node n ON n.level = l.level AND n.index >= $1::bigint >> l.level AND n.index < $2::bigint >> l.level`,
    values: [from, to, storedLevels],
  });
  return rows.map(({ level, index, hash }) => ({ level, index: Number(index), hash }));
};

const straysBeyond = async (client: Client, size: number): Promise<readonly Stray[]> => {
  const { rows } = await client.query<{ table: string; seq: string }>(
    `(SELECT 'audit.leaf' AS table, seq FROM audit.leaf WHERE seq < 0 OR seq >= $1 ORDER BY seq LIMIT $2)
     UNION ALL (SELECT 'audit.entry', seq FROM audit.entry WHERE seq < 0 OR seq >= $1 ORDER BY seq LIMIT $2)
     UNION ALL (SELECT 'audit.batch', first_seq FROM audit.batch WHERE first_seq < 0 OR first_seq >= $1 ORDER BY first_seq LIMIT $2)
     UNION ALL (SELECT 'audit.node', index << level FROM audit.node WHERE (index + 1) << level > $1 ORDER BY 2 LIMIT $2)`,
    [size, STRAYS_NAMED],
  );
  return rows.map(({ table, seq }) => ({ table, seq: Number(seq) }));
};

/** Opens the log as one snapshot sees it; call within a transaction that keeps one. `page`: entries looked at at a time. */
export const openLiveLog = async (client: Client, page = PAGE): Promise<LiveLog> => {
  const readable = createReadableRows(client);
  const lookup = createIndexLookup(client);
  const size = await readable.whole('audit.batch or audit.leaf', () => sizeOf(client), 0);
  // A batch belongs to the page in which it ends, and is read with the page in which it begins.
  let open: readonly StoredBatch[] = [];

  const readPage = async (from: number): Promise<LogRows> => {
    const to = Math.min(from + page, size);
    const rowsOf = <T>(
      table: string,
      read: (client: Client, from: number, to: number) => Promise<readonly T[]>,
    ) => readable.range(table, [from, to], (start, end) => read(client, start, end));
    const leaves = await rowsOf('audit.leaf', leavesOf);
    const entries = await rowsOf('audit.entry', entriesOf);
    const begun = [...open, ...(await rowsOf('audit.batch', batchesOf))].sort((a, b) => a.size - b.size);
    const ends = (batch: StoredBatch): boolean => batch.size > from && batch.size <= to;
    open = begun.filter((batch) => !ends(batch));
    return {
      from,
      to,
      leaves,
      entries,
      batches: begun.filter(ends),
      nodes: await rowsOf('audit.node', nodesOf),
      unfound: await lookup.unfound(entries, [from, to]),
    };
  };

  return {
    size,
    pages: (async function* () {
      for (let from = 0; from < size; from += page) yield await readPage(from);
    })(),
    strays: async () => [
      ...(await readable.whole('the log', () => straysBeyond(client, size), [])),
      ...readable.unreadable(),
      ...lookup
        .unreadable()
        .map((index) => ({ table: `the index ${index}`, seq: null, unreadable: true }) as const),
      ...open.slice(0, STRAYS_NAMED).map(({ firstSeq }) => ({ table: 'audit.batch', seq: firstSeq })),
    ],
  };
};
