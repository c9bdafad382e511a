import pg from 'pg';
import type { StatedHead } from '../core/audit/head.ts';
import { emptyRange, rangeBytes, rootOf, splitHashes } from '../core/audit/merkle.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { byteaArray, textArray } from './binary-array.ts';

export type AppendAnswer = {
  /** The head before. */
  readonly previous: Pick<StatedHead, 'size' | 'range'>;
  /** Commitments others added since the size we knew; null when there are too many for one answer. */
  readonly others: readonly Buffer[] | null;
  /** The head after. */
  readonly next: StatedHead;
};

/** One dedicated session. Every call rejects when the session is lost or the deadline passes; `lost` tells which it was. */
export type AppendConnection = {
  /** Commits all bodies or none. Resolves after COMMIT: `pg` settles an autocommit query when the server is ready again. */
  readonly append: (
    knownSize: number,
    salts: readonly Buffer[],
    bodies: readonly string[],
  ) => Promise<AppendAnswer>;
  readonly head: () => Promise<StatedHead>;
  /** Commitments of the leaves [from, to) in order; fewer when some are missing. */
  readonly commitments: (from: number, to: number) => Promise<readonly Buffer[]>;
  /** True once nothing can be sent any more; an unanswered append may or may not have been committed. */
  readonly lost: () => boolean;
  readonly end: () => Promise<void>;
};

export type AppendConnectionOptions = {
  readonly postgres: PostgresSettings;
  /** Name of this instance; kept with every batch. */
  readonly writer: string;
  readonly statementMs: number;
  readonly onLost: () => void;
};

/** How much longer than the server's own limit we wait before we give the session up. */
const GRACE_MS = 1_000;

type HeadRow = { readonly size: string; readonly root: Buffer; readonly range: Buffer };
type AppendRow = HeadRow & {
  readonly previous_size: string;
  readonly previous_range: Buffer;
  readonly others: Buffer | null;
};

const HEAD = 'SELECT size, root, range FROM audit.batch ORDER BY first_seq DESC LIMIT 1';
const APPEND = 'SELECT * FROM audit.append($1, $2, $3, $4)';
const COMMITMENTS = 'SELECT commitment FROM audit.leaf WHERE seq >= $1 AND seq < $2 ORDER BY seq';

const emptyHead: StatedHead = { size: 0, root: rootOf(emptyRange), range: rangeBytes(emptyRange) };

const answerOf = (row: AppendRow): AppendAnswer => ({
  previous: { size: Number(row.previous_size), range: row.previous_range },
  others: row.others === null ? null : splitHashes(row.others),
  next: { size: Number(row.size), root: row.root, range: row.range },
});

export const openAppendConnection = async (options: AppendConnectionOptions): Promise<AppendConnection> => {
  const { postgres, writer, statementMs } = options;
  const client = new pg.Client({
    ...postgres,
    application_name: `callvault log ${writer}`,
    statement_timeout: statementMs,
    connectionTimeoutMillis: statementMs + GRACE_MS,
    keepAlive: true,
  });
  let lost = false;
  const lose = (): void => {
    if (lost) return;
    lost = true;
    client.connection.stream.destroy();
    options.onLost();
  };
  client.on('error', lose);
  client.on('end', lose);
  try {
    await client.connect();
  } catch (error) {
    lost = true;
    client.connection.stream.destroy();
    throw error;
  }

  /** The server's limit ends a slow statement; this one ends a silent network or a frozen server. */
  const ask = async <R extends pg.QueryResultRow>(query: pg.QueryConfig): Promise<R[]> => {
    const deadline = setTimeout(lose, statementMs + GRACE_MS);
    try {
      return (await client.query<R>(query)).rows;
    } finally {
      clearTimeout(deadline);
    }
  };

  return {
    append: async (knownSize, salts, bodies) => {
      const values = [writer, knownSize, byteaArray(salts), textArray(bodies)];
      const rows = await ask<AppendRow>({ name: 'append', text: APPEND, values });
      return answerOf(rows[0]!);
    },
    head: async () => {
      const row = (await ask<HeadRow>({ name: 'head', text: HEAD }))[0];
      return row === undefined ? emptyHead : { ...row, size: Number(row.size) };
    },
    commitments: async (from, to) => {
      const values = [from, to];
      const rows = await ask<{ commitment: Buffer }>({ name: 'commitments', text: COMMITMENTS, values });
      return rows.map((row) => row.commitment);
    },
    lost: () => lost,
    end: async () => {
      const deadline = setTimeout(lose, GRACE_MS);
      await client.end();
      clearTimeout(deadline);
    },
  };
};
