import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { openAppendConnection } from '../src/audit/append-connection.ts';
import { expectTip, followAnswer } from '../src/audit/tip.ts';
import { commitmentOf } from '../src/core/audit/commitment.ts';
import { encodeEvent } from '../src/core/audit/entry.ts';
import { type CompactRange, emptyRange } from '../src/core/audit/merkle.ts';
import type { PostgresSettings } from '../src/core/postgres-settings.ts';
import { createLogEvents } from './log-events.ts';

/** Entries of one append: where the database's time for each is least. */
const BATCH = 2_000;
const STATEMENT_MS = 60_000;
/** Between two lines about how far it is. */
const REPORT_MS = 30_000;

const saltsOf = (count: number): readonly Buffer[] => {
  const random = randomBytes(32 * count);
  return Array.from({ length: count }, (_, i) => random.subarray(32 * i, 32 * i + 32));
};

/**
 * Appends `entries` events by the log's own connection and function, a batch at a time, and checks every answer as the writer
 * does: the tree of the database is that of what was sent. While it is at work, the next batch is made. Returns the tip.
 */
export const seedLog = async (
  postgres: PostgresSettings,
  entries: number,
  say: (line: string) => void,
): Promise<CompactRange> => {
  const onLost = (): void => undefined;
  const session = await openAppendConnection({
    postgres,
    writer: 'bench',
    statementMs: STATEMENT_MS,
    onLost,
  });
  const nextEvent = createLogEvents(entries);
  const batchFrom = (from: number) => {
    const bodies = Array.from(
      { length: Math.min(BATCH, entries - from) },
      () => encodeEvent(nextEvent()).body,
    );
    const salts = saltsOf(bodies.length);
    return { bodies, salts, commitments: bodies.map((body, i) => commitmentOf(salts[i] as Buffer, body)) };
  };
  const started = performance.now();
  let told = started;
  let tip = emptyRange;
  let next = batchFrom(0);
  while (tip.size < entries) {
    const { bodies, salts, commitments } = next;
    const answered = session.append(tip.size, salts, bodies);
    const expected = expectTip(tip, commitments);
    next = batchFrom(expected.after.size);
    tip = await followAnswer(session, expected, await answered);
    if (performance.now() - told > REPORT_MS) {
      told = performance.now();
      say(`… ${tip.size} entries, ${Math.round(tip.size / ((told - started) / 1_000))} a second`);
    }
  }
  await session.end();
  const seconds = (performance.now() - started) / 1_000;
  say(`${entries} entries appended in ${seconds.toFixed(0)} s, ${Math.round(entries / seconds)} a second`);
  return tip;
};

/** What autovacuum does by itself in a log that grows over years: every partition, never the table they are parts of. */
export const settleTables = async (superuser: pg.ClientBase): Promise<void> => {
  const { rows } = await superuser.query<{ name: string }>(
    `SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind = 'r'`,
  );
  for (const { name } of rows) await superuser.query(`VACUUM (ANALYZE) ${name}`);
  await superuser.query('CHECKPOINT');
};
