import pg from 'pg';
import type { EntryFacts } from '../core/audit/facts.ts';
import { emptyRange, rootOf } from '../core/audit/merkle.ts';
import { AppError } from '../core/errors.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { logUnavailable } from './append-failure.ts';
import type { AuditLogger } from './audit-logger.ts';
import { createDamaged, type Damaged } from './damaged-entry.ts';
import { openLogPool } from './log-pool.ts';
import { createLogProver, type LogProver } from './prover.ts';
import type { LogSearch } from './reader.ts';
import { formatCursor, pageLimit, type Statement, searchStatement } from './search.ts';

/** Size and root of a tree over the log. */
export type TreeHead = { readonly size: number; readonly root: Buffer };

/** What lies in the log at one place; nothing of it is checked. Salt and body are null where the log holds none. */
export type RawEntry = {
  readonly seq: number;
  readonly commitment: Buffer;
  readonly salt: Buffer | null;
  readonly body: string | null;
};

/** The same with what the database finds it by; facts are null where it holds no entry. */
export type RawRow = RawEntry & { readonly eventId: string; readonly facts: EntryFacts | null };

export type Selected = { readonly entries: readonly RawEntry[]; readonly next: string | null };

/**
 * The log as evidence: heads, proofs and what they are about, as it lies in the database. On connections of its own, so that
 * proving delays neither an append nor a search. Every failure of the database is `log_unavailable`.
 */
export type LogEvidence = LogProver & {
  /** The newest head as the database states it. */
  readonly head: () => Promise<TreeHead>;
  /**
   * The newest checkpoint of at most `size` entries, as a signed note with the cosignatures kept with it; null before the
   * first. Nothing of it is verified.
   */
  readonly checkpoint: (size: number) => Promise<string | null>;
  /** How many witnesses stand under the newest checkpoint that any has seen. */
  readonly witnesses: () => Promise<number>;
  /** Null when the log holds no such entry. */
  readonly raw: (seq: number) => Promise<RawEntry | null>;
  /** The rows there are of entries [from, to), in order; one that was taken out is not among them. */
  readonly run: (from: number, to: number) => Promise<readonly RawRow[]>;
  /** A page of what a search finds, newest first, as it lies in the database. */
  readonly selected: (query: LogSearch) => Promise<Selected>;
  /** What to throw for an entry that is not the one committed to; the operator is told. */
  readonly damaged: Damaged;
  /** Safe to call twice. */
  readonly close: () => Promise<void>;
};

const CONNECTIONS = 3;
const STATEMENT_MS = 30_000;

type Options = { readonly postgres: PostgresSettings; readonly log: Pick<AuditLogger, 'warn' | 'error'> };

type EntryRow = {
  readonly seq: string;
  readonly commitment: Buffer;
  readonly salt: Buffer | null;
  readonly body: string | null;
};
type RunRow = EntryRow &
  Omit<EntryFacts, 'eventId' | 'at'> & {
    readonly leaf_event: string;
    readonly event_id: string | null;
    readonly at: string | null;
  };
type SelectedRow = EntryRow & { readonly at: string };

const TABLES = 'audit.leaf l LEFT JOIN audit.entry e USING (seq)';
const RAW = `SELECT l.seq, l.commitment, e.salt, e.body FROM ${TABLES} WHERE l.seq = $1`;
const RUN = `SELECT l.seq, l.commitment, l.event_id AS leaf_event, e.salt, e.body, (e.facts).* FROM ${TABLES}
  WHERE l.seq >= $1 AND l.seq < $2 ORDER BY l.seq`;

const rawOf = ({ seq, commitment, salt, body }: EntryRow): RawEntry => ({
  seq: Number(seq),
  commitment,
  salt,
  body,
});

const runRowOf = (row: RunRow): RawRow => {
  const { seq, commitment, salt, body, leaf_event, event_id, at, ...rest } = row;
  const facts = event_id === null ? null : { eventId: event_id, at: Number(at), ...rest };
  return { seq: Number(seq), commitment, salt, body, eventId: leaf_event, facts };
};

const selectedOf = (query: LogSearch, rows: readonly SelectedRow[]): Selected => {
  const page = rows.slice(0, pageLimit(query));
  const last = page.at(-1);
  const more = rows.length > page.length && last !== undefined;
  return {
    entries: page.map(rawOf),
    next: more ? formatCursor({ at: Number(last.at), seq: Number(last.seq) }) : null,
  };
};

const NEWEST_CHECKPOINT = `
  SELECT c.note || coalesce((SELECT string_agg(s.line, '' ORDER BY s.at, s.witness)
                               FROM audit.cosignature s WHERE s.size = c.size), '') AS note
    FROM audit.checkpoint c WHERE c.size <= $1 ORDER BY c.size DESC LIMIT 1`;

const WITNESSES = `
  SELECT count(*)::int AS count FROM audit.cosignature WHERE size = (SELECT max(size) FROM audit.cosignature)`;

/** Opens connections when they are first needed. */
export const createLogEvidence = (options: Options): LogEvidence => {
  const pool = openLogPool(options, {
    as: 'evidence',
    connections: CONNECTIONS,
    statementMs: STATEMENT_MS,
    lost: 'A connection that proves the access log was lost',
  });
  let closing: Promise<void> | null = null;

  const ask = async <R extends pg.QueryResultRow>({ text, values }: Statement): Promise<readonly R[]> => {
    try {
      return (await pool.query<R>(text, [...values])).rows;
    } catch (cause) {
      // Class 22: a value that cannot be what it is searched as.
      if (cause instanceof pg.DatabaseError && cause.code?.startsWith('22'))
        throw new AppError('invalid_request', 'No entry of the log can have one of these values.');
      throw logUnavailable('The access log cannot be read now.', cause);
    }
  };

  return {
    ...createLogProver(ask),
    damaged: createDamaged(options.log),
    head: async () => {
      const [head] = await ask<{ size: string; root: Buffer }>({
        text: 'SELECT size, root FROM audit.batch ORDER BY first_seq DESC LIMIT 1',
        values: [],
      });
      return head === undefined
        ? { size: 0, root: rootOf(emptyRange) }
        : { size: Number(head.size), root: head.root };
    },
    checkpoint: async (size) =>
      (await ask<{ note: string }>({ text: NEWEST_CHECKPOINT, values: [size] }))[0]?.note ?? null,
    witnesses: async () => (await ask<{ count: number }>({ text: WITNESSES, values: [] }))[0]?.count ?? 0,
    raw: async (seq) => {
      const [row] = await ask<EntryRow>({ text: RAW, values: [seq] });
      return row === undefined ? null : rawOf(row);
    },
    run: async (from, to) => (await ask<RunRow>({ text: RUN, values: [from, to] })).map(runRowOf),
    selected: async (query) => selectedOf(query, await ask<SelectedRow>(searchStatement(query))),
    close: () => {
      closing ??= pool.end();
      return closing;
    },
  };
};
