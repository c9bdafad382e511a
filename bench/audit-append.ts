import { createHash, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { createAuditWriter } from '../src/audit/writer.ts';
import { encodeEvent } from '../src/core/audit/entry.ts';
import { factsOf } from '../src/core/audit/facts.ts';
import { freshEvent } from '../test/support/audit-events.ts';
import { verdictOf } from '../test/support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../test/support/postgres.ts';

/**
 * The access log beside what one would do without it, on the same PostgreSQL in the same minute, with real fsync:
 *   plain  one row per commit on one connection: the same body and search columns, the same indexes, no order, no hash
 *   chain  per request: BEGIN, lock, read the last hash, INSERT, COMMIT, over a pool of 20
 *   log    this log, everything on
 * Schemes take turns, so that a noisy minute meets all of them. Prints figures and ratios and asserts no times.
 */
const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '3' } },
});
const ROUND_MS = Number(options.seconds) * 1_000;
const ROUNDS = Number(options.rounds);
const CHAIN_POOL = 20;

const COLUMNS =
  'event_id, at, action, outcome, actor, organisation, unit, recording, subject, purpose, session';
const PLACES = Array.from({ length: 11 }, (_, i) => `$${i + 1}`).join(', ');

const table = (name: string): string => `
  CREATE TABLE ${name} (id bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, at bigint NOT NULL, action text NOT NULL,
    outcome text NOT NULL, actor text, organisation uuid, unit uuid, recording uuid, subject text, purpose text, session uuid,
    body text NOT NULL, hash bytea);
  CREATE INDEX ON ${name} (organisation, at, id);
  CREATE INDEX ON ${name} (actor, at, id) WHERE actor IS NOT NULL;
  CREATE INDEX ON ${name} (recording, at, id) WHERE recording IS NOT NULL;
  CREATE INDEX ON ${name} (subject, at, id) WHERE subject IS NOT NULL;
  CREATE INDEX ON ${name} (unit, at, id) WHERE unit IS NOT NULL;
  CREATE INDEX ON ${name} (action, organisation, at, id) WHERE action NOT LIKE 'recording%' AND action NOT LIKE 'playback%';
  CREATE INDEX ON ${name} (outcome, organisation, at, id) WHERE outcome <> 'success';
  CREATE INDEX ON ${name} (purpose, organisation, at, id) WHERE purpose <> 'care';
  GRANT SELECT, INSERT ON ${name} TO callvault;
  GRANT USAGE ON SEQUENCE ${name}_id_seq TO callvault`;

/** One scheme, ready to append; `end` closes its connections. */
type Scheme = { readonly append: () => Promise<unknown>; readonly end: () => Promise<unknown> };

const rowOf = (): readonly unknown[] => {
  const { event, body } = encodeEvent(freshEvent());
  return [...Object.values(factsOf(event)), body];
};

const plain = async (database: TestDatabase): Promise<Scheme> => {
  const client = new pg.Client(database.app);
  await client.connect();
  const text = `INSERT INTO public.plain (${COLUMNS}, body) VALUES (${PLACES}, $12)`;
  return {
    append: () => client.query({ name: 'plain', text, values: [...rowOf()] }),
    end: () => client.end(),
  };
};

const chain = async (database: TestDatabase): Promise<Scheme> => {
  const pool = new pg.Pool({ ...database.app, max: CHAIN_POOL });
  const text = `INSERT INTO public.chain (${COLUMNS}, body, hash) VALUES (${PLACES}, $12, $13)`;
  const append = async (): Promise<void> => {
    const row = rowOf();
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query({ name: 'lock', text: 'SELECT pg_advisory_xact_lock(1)' });
      const last = await client.query({
        name: 'last',
        text: 'SELECT hash FROM public.chain ORDER BY id DESC LIMIT 1',
      });
      const hash = createHash('sha256')
        .update(last.rows[0]?.hash ?? '')
        .update(String(row.at(-1)))
        .digest();
      await client.query({ name: 'link', text, values: [...row, hash] });
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  };
  return { append, end: () => pool.end() };
};

const log = async (database: TestDatabase): Promise<Scheme> => {
  const silent = { info() {}, warn() {}, error() {} };
  const writer = createAuditWriter({ postgres: database.app, writer: 'bench', randomBytes, log: silent });
  await writer.append(freshEvent());
  return { append: () => writer.append(freshEvent()), end: () => writer.close() };
};

type Figures = { readonly perSecond: number; readonly p50: number; readonly p99: number };

const measure = async (
  open: (database: TestDatabase) => Promise<Scheme>,
  database: TestDatabase,
  lanes: number,
): Promise<Figures> => {
  const scheme = await open(database);
  for (let warm = 0; warm < 50; warm += 1) await scheme.append();
  const times: number[] = [];
  const start = performance.now();
  const lane = async (): Promise<void> => {
    for (let before = performance.now(); before - start < ROUND_MS; ) {
      await scheme.append();
      const after = performance.now();
      times.push(after - before);
      before = after;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const elapsed = performance.now() - start;
  await scheme.end();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  return { perSecond: (times.length / elapsed) * 1_000, p50: at(0.5), p99: at(0.99) };
};

const runs = [
  { name: 'plain, 1 connection', open: plain, lanes: 1 },
  { name: 'chain, 50 at once', open: chain, lanes: 50 },
  { name: 'log, 1 at once', open: log, lanes: 1 },
  { name: 'log, 50 at once', open: log, lanes: 50 },
  { name: 'log, 500 at once', open: log, lanes: 500 },
] as const;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const report = (figures: readonly (readonly Figures[])[]): void => {
  const rate = (run: number): number => median(figures[run]!.map(({ perSecond }) => perSecond));
  print(
    `${'median of rounds'.padEnd(22)}${'per second'.padStart(12)}${'p50 ms'.padStart(10)}${'p99 ms'.padStart(10)}${'x plain'.padStart(10)}${'x chain'.padStart(10)}`,
  );
  runs.forEach(({ name }, run) => {
    const cells = [
      rate(run).toFixed(0).padStart(12),
      median(figures[run]!.map(({ p50 }) => p50))
        .toFixed(2)
        .padStart(10),
      median(figures[run]!.map(({ p99 }) => p99))
        .toFixed(2)
        .padStart(10),
      (rate(run) / rate(0)).toFixed(2).padStart(10),
      (rate(run) / rate(1)).toFixed(2).padStart(10),
    ];
    print(`${name.padEnd(22)}${cells.join('')}`);
  });
};

const main = async (): Promise<void> => {
  await using database = await startTestDatabase({
    durable: true,
    settings: { shared_buffers: '128MB', max_wal_size: '4GB', io_method: 'worker' },
  });
  const superuser = await database.connect('superuser');
  await superuser.query(`${table('public.plain')};${table('public.chain')}`);
  const figures: Figures[][] = runs.map(() => []);
  for (let round = 0; round < ROUNDS; round += 1)
    for (const [run, { open, lanes }] of runs.entries())
      figures[run]!.push(await measure(open, database, lanes));
  report(figures);
  const { ok, size } = await verdictOf(database);
  print(`the log verifies: ${ok} (${size} entries)`);
  if (!ok) process.exitCode = 1;
};

await main();
