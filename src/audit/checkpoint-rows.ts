import pg from 'pg';
import type { StatedHead } from '../core/audit/head.ts';
import { emptyRange, rangeBytes, rootOf } from '../core/audit/merkle.ts';
import { isAppError } from '../core/errors.ts';
import { logHalted, logUnavailable } from './append-failure.ts';
import { type LogPoolOptions, openLogPool } from './log-pool.ts';
import { createLogProver, type LogProver } from './prover.ts';
import type { Statement } from './search.ts';

/** A checkpoint as it is kept: a note, of which nothing is checked yet. */
export type KeptNote = { readonly size: number; readonly note: string };
/** `at`: seconds since 1970, by the clock of the database. */
type DatedNote = KeptNote & { readonly at: number };

/** How far a witness has come, by the cosignatures that are kept. */
export type WitnessPosition = { readonly witness: string; readonly size: number };

/**
 * What the checkpointer reads and keeps in the database, on a session of its own. Everything rejects with `log_unavailable`
 * when the database fails, and with `log_halted` when it says itself that the log is shorter than a checkpoint.
 */
export type CheckpointRows = LogProver & {
  /** Head and newest checkpoint as one snapshot sees them: a checkpoint in it is never ahead of an honest head. */
  readonly state: () => Promise<{ readonly head: StatedHead; readonly newest: DatedNote | null }>;
  readonly commitments: (from: number, to: number) => Promise<readonly Buffer[]>;
  /** Keeps the note unless there is one of that size; resolves to the one that is kept. */
  readonly keep: (size: number, note: string) => Promise<string>;
  readonly keepCosignature: (size: number, witness: string, line: string) => Promise<void>;
  readonly positions: () => Promise<readonly WitnessPosition[]>;
  /** Safe to call twice. */
  readonly close: () => Promise<void>;
};

const STATEMENT_MS = 10_000;
/** One for the rounds, one for whoever asks what is kept. */
const CONNECTIONS = 2;

const STATE = `
  SELECT h.size, h.root, h.range, c.size AS kept, c.note, extract(epoch FROM c.at)::float8 AS at FROM (SELECT) AS one
    LEFT JOIN (SELECT size, root, range FROM audit.batch ORDER BY first_seq DESC LIMIT 1) h ON true
    LEFT JOIN (SELECT size, note, at FROM audit.checkpoint ORDER BY size DESC LIMIT 1) c ON true`;
type StateRow = {
  readonly size: string | null;
  readonly root: Buffer;
  readonly range: Buffer;
  readonly kept: string | null;
  readonly note: string;
  readonly at: number;
};

const emptyHead: StatedHead = { size: 0, root: rootOf(emptyRange), range: rangeBytes(emptyRange) };

/** Raised by audit.keep_checkpoint for a log that is shorter than the checkpoint. */
const LOG_IS_SHORTER = 'CV001';

const faultOf = (cause: unknown): Error => {
  if (isAppError(cause)) return cause;
  if (cause instanceof pg.DatabaseError && cause.code === LOG_IS_SHORTER)
    return logHalted('The access log is shorter than its checkpoint.', cause);
  return logUnavailable('Checkpoints of the access log cannot be read or kept now.', cause);
};

/** Opens connections when they are first needed. */
export const createCheckpointRows = (options: LogPoolOptions): CheckpointRows => {
  const pool = openLogPool(options, {
    as: 'checkpoints',
    connections: CONNECTIONS,
    statementMs: STATEMENT_MS,
    lost: 'A connection of the checkpointer was lost',
  });
  let closing: Promise<void> | null = null;
  const ask = async <R extends pg.QueryResultRow>({ text, values }: Statement): Promise<R[]> => {
    try {
      return (await pool.query<R>(text, [...values])).rows;
    } catch (cause) {
      throw faultOf(cause);
    }
  };
  const one = async <R extends pg.QueryResultRow>(
    text: string,
    ...values: readonly unknown[]
  ): Promise<R | undefined> => (await ask<R>({ text, values }))[0];

  return {
    ...createLogProver(ask),
    state: async () => {
      const row = (await one<StateRow>(STATE))!;
      const { size, root, range, kept, note, at } = row;
      return {
        head: size === null ? emptyHead : { size: Number(size), root, range },
        newest: kept === null ? null : { size: Number(kept), note, at },
      };
    },
    commitments: async (from, to) => {
      const text = 'SELECT commitment FROM audit.leaf WHERE seq >= $1 AND seq < $2 ORDER BY seq';
      return (await ask<{ commitment: Buffer }>({ text, values: [from, to] })).map((row) => row.commitment);
    },
    keep: async (size, note) =>
      (await one<{ kept: string }>('SELECT audit.keep_checkpoint($1, $2) AS kept', size, note))!.kept,
    keepCosignature: async (size, witness, line) => {
      await one('SELECT audit.keep_cosignature($1, $2, $3)', size, witness, line);
    },
    positions: async () => {
      const text = 'SELECT witness, max(size) AS size FROM audit.cosignature GROUP BY witness';
      const rows = await ask<{ witness: string; size: string }>({ text, values: [] });
      return rows.map(({ witness, size }) => ({ witness, size: Number(size) }));
    },
    close: () => {
      closing ??= pool.end();
      return closing;
    },
  };
};
