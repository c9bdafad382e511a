import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { verdictOf } from '../test/support/audit-writers.ts';
import { startTestDatabase, type TestDatabase } from '../test/support/postgres.ts';
import { chain, log, type OpenScheme, plain, prepareRound, type Round, table } from './append-schemes.ts';

/**
 * The access log beside what one would do without it, on the same PostgreSQL in the same minute, with real fsync:
 *   plain  one row per commit on one connection: the same body and search columns, the same indexes, no order, no hash
 *   chain  per request: BEGIN, lock, read the last hash, INSERT, COMMIT, over a pool of 20
 *   log    this log, everything on
 * Chain and log in one service, and in two that append at once; each log beside the chain with as many services and requests.
 * All of it again with commits that take 2 ms longer, as on a disk behind a network. Schemes take turns, so that a noisy
 * minute meets all of them. Prints figures and ratios and asserts no times.
 */
const quick = process.env.BENCH_SECONDS;
const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: quick ?? '3' },
    rounds: { type: 'string', default: quick === undefined ? '3' : '1' },
  },
});
const ROUND_MS = Number(options.seconds) * 1_000;
const ROUNDS = Number(options.rounds);
const SLOWER_MS = 2;

type Run = {
  readonly name: string;
  readonly open: OpenScheme;
  readonly lanes: number;
  /** A second service appends at the same time, as many at once. */
  readonly two?: true;
  /** The run whose rate is the chain's at as many at once. */
  readonly beside?: number;
};

const SINGLE = 4;
const FIFTY = 5;
const runs: readonly Run[] = [
  { name: 'plain, 1 connection', open: plain, lanes: 1 },
  { name: 'chain, 50 at once', open: chain, lanes: 50 },
  { name: 'chain, 500 at once', open: chain, lanes: 500 },
  { name: 'chain, two processes, 250 at once each', open: chain, lanes: 250, two: true },
  { name: 'log, 1 at once', open: log, lanes: 1 },
  { name: 'log, 50 at once', open: log, lanes: 50, beside: 1 },
  { name: 'log, 500 at once', open: log, lanes: 500, beside: 2 },
  { name: 'log, two processes, 50 at once each', open: log, lanes: 50, two: true, beside: 3 },
  { name: 'log, two processes, 250 at once each', open: log, lanes: 250, two: true, beside: 3 },
];

/** The same in a process of its own. */
const prepareOther = async (postgres: TestDatabase['app'], open: OpenScheme, lanes: number) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'append-process.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the second process ended before its time');
    return value;
  };
  child.stdin.write(
    `${JSON.stringify({ postgres, scheme: open === chain ? 'chain' : 'log', lanes, roundMs: ROUND_MS })}\n`,
  );
  await nextLine();
  return async (): Promise<Round> => {
    child.stdin.write('go\n');
    return JSON.parse(await nextLine()) as Round;
  };
};

type Figures = { readonly perSecond: number; readonly p50: number; readonly p99: number };

const figuresOf = (rounds: readonly Round[]): Figures => {
  const times = rounds.flatMap((round) => round.times).sort((a, b) => a - b);
  const elapsed = Math.max(...rounds.map((round) => round.elapsed));
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  return { perSecond: (times.length / elapsed) * 1_000, p50: at(0.5), p99: at(0.99) };
};

const measure = async ({ open, lanes, two }: Run, { app }: TestDatabase): Promise<Figures> => {
  const here = await prepareRound(open, app, lanes);
  const other = two ? await prepareOther(app, open, lanes) : null;
  return figuresOf(await Promise.all([here(ROUND_MS), ...(other === null ? [] : [other()])]));
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const report = (title: string, figures: readonly (readonly Figures[])[]): void => {
  const of = (run: number, figure: keyof Figures): number => median(figures[run]!.map((one) => one[figure]));
  const heads = ['per second', 'p50 ms', 'p99 ms', 'x plain', 'x chain'].map((head) => head.padStart(12));
  print(`${title.padEnd(38)}${heads.join('')}`);
  runs.forEach(({ name, beside }, run) => {
    const rate = of(run, 'perSecond');
    const cells = [
      rate.toFixed(0),
      of(run, 'p50').toFixed(2),
      of(run, 'p99').toFixed(2),
      (rate / of(0, 'perSecond')).toFixed(2),
      beside === undefined ? '' : (rate / of(beside, 'perSecond')).toFixed(2),
    ];
    print(`${name.padEnd(38)}${cells.map((cell) => cell.padStart(12)).join('')}`);
  });
  const tail = (of(FIFTY, 'p99') / of(SINGLE, 'p50')).toFixed(1);
  print(`${'p99 at 50 / median of a single append'.padEnd(38)}${tail.padStart(12)}\n`);
};

/** The server waits before every flush, whoever else commits. */
const slowCommits = async (superuser: pg.ClientBase, milliseconds: number): Promise<void> => {
  await superuser.query(`ALTER SYSTEM SET commit_delay = ${milliseconds * 1_000}`);
  await superuser.query(`ALTER SYSTEM SET commit_siblings = 0`);
  await superuser.query('SELECT pg_reload_conf()');
};

const main = async (): Promise<void> => {
  await using database = await startTestDatabase({
    durable: true,
    settings: { shared_buffers: '128MB', max_wal_size: '4GB', io_method: 'worker' },
  });
  const superuser = await database.connect('superuser');
  await superuser.query(`${table('public.plain')};${table('public.chain')}`);
  for (const slower of [0, SLOWER_MS]) {
    await slowCommits(superuser, slower);
    const figures: Figures[][] = runs.map(() => []);
    for (let round = 0; round < ROUNDS; round += 1)
      for (const [run, one] of runs.entries()) figures[run]!.push(await measure(one, database));
    report(slower === 0 ? `median of ${ROUNDS}` : `commits ${slower} ms slower`, figures);
  }
  const { ok, size } = await verdictOf(database);
  print(`the log verifies: ${ok} (${size} entries)`);
  if (!ok) process.exitCode = 1;
};

await main();
