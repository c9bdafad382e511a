import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type pg from 'pg';

export const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** Plans of the program's own statements, as PostgreSQL carried them out, kept where a reader of the repository finds them. */
export type Statement = { readonly text: string; readonly values: readonly unknown[] };

export type Plan = {
  readonly title: string;
  readonly lines: readonly string[];
};

export const explain = async (client: pg.ClientBase, title: string, statement: Statement): Promise<Plan> => {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(
    `EXPLAIN (ANALYZE, BUFFERS) ${statement.text}`,
    [...statement.values],
  );
  return { title, lines: rows.map((row) => row['QUERY PLAN']) };
};

/** Half a megabyte, which is read whole sooner than by an index. */
const SMALL_PAGES = 64;

/** Tables that are too large to be read whole for one answer. */
export const largeTables = async (client: pg.ClientBase): Promise<ReadonlySet<string>> => {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relpages >= $1`,
    [SMALL_PAGES],
  );
  return new Set(rows.map(({ name }) => name));
};

/** Says each plan in a line, and those that read a whole large table; returns whether there is one. */
export const saySummaries = (plans: readonly Plan[], large: ReadonlySet<string>): boolean => {
  say('');
  for (const plan of plans) say(`${plan.title}: ${summaryOf(plan)}`);
  const whole = plans.flatMap(({ title, lines }) =>
    lines
      .filter((line) => large.has(/Seq Scan on (\S+)/.exec(line)?.[1] ?? ''))
      .map((line) => `${title}: ${line.trim()}`),
  );
  for (const line of whole) say(`reads a whole table: ${line}`);
  say(`${plans.length} plans, ${whole.length} of them read a whole table`);
  return whole.length > 0;
};

/** Which indexes it followed, how many blocks it touched and how many of them it had to read, and how long it took. */
const summaryOf = ({ lines }: Plan): string => {
  const text = lines.join('\n');
  // Of a partition's index the name of the table comes first: entry_000003_expr_expr1_seq_idx.
  const named = [...text.matchAll(/(?:Scan(?: Backward)? using|Bitmap Index Scan on) (\S+)/g)];
  const indexes = [
    ...new Set(named.map((match) => match[1]?.replace(/^(entry|batch)_\d{6}_/, '$1_'))),
  ].sort();
  const [, hit = '0', , read = '0'] = /Buffers: shared(?: hit=(\d+))?( read=(\d+))?/.exec(text) ?? [];
  const [planning, execution] = ['Planning', 'Execution'].map(
    (what) => new RegExp(`${what} Time: ([\\d.]+) ms`).exec(text)?.[1] ?? '?',
  );
  return `${indexes.join(', ') || 'no index'}; ${hit} blocks at hand, ${read} read; planned in ${planning} ms, done in ${execution} ms`;
};

const FOLDER = join(import.meta.dirname, 'plans');

export const keepPlans = (name: string, head: readonly string[], plans: readonly Plan[]): string => {
  const path = join(FOLDER, `${name}.md`);
  mkdirSync(dirname(path), { recursive: true });
  const sections = plans.flatMap((plan) => [`## ${plan.title}`, '', '```', ...plan.lines, '```', '']);
  writeFileSync(path, [...head, '', ...sections].join('\n'));
  return path;
};

/** 10000000 → 10M. */
export const sizeName = (count: number): string =>
  count % 1e6 === 0 ? `${count / 1e6}M` : count % 1e3 === 0 ? `${count / 1e3}k` : String(count);

export type Timed = { readonly p50: number; readonly p99: number; readonly most: number };

/** Milliseconds of each call, one after the other. */
export const timed = async (calls: readonly (() => Promise<unknown>)[]): Promise<Timed> => {
  const times: number[] = [];
  for (const call of calls) {
    const before = performance.now();
    await call();
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  return { p50: at(0.5), p99: at(0.99), most: at(1) };
};
