import { parseArgs } from 'node:util';
import type pg from 'pg';
import { type HearingSearch, hearingsStatement } from '../src/audit/hearings.ts';
import { createLogEvidence } from '../src/audit/log-evidence.ts';
import { createLogProver } from '../src/audit/prover.ts';
import { type AuditReader, createAuditReader } from '../src/audit/reader.ts';
import { findStatement, readStatement, searchStatement, tallyStatement } from '../src/audit/search.ts';
import { rootOf } from '../src/core/audit/merkle.ts';
import { type Activity, createAskLog, MAX_COUNTED } from '../src/services/ask-log.ts';
import { startTestDatabase, type TestDatabase } from '../test/support/postgres.ts';
import {
  explain,
  keepPlans,
  largeTables,
  type Plan,
  type Statement,
  say,
  saySummaries,
  sizeName,
  timed,
} from './explain.ts';
import { type Asked, askedOf, deepCursor, question } from './log-questions.ts';
import { seedLog, settleTables } from './log-seed.ts';

/**
 * Proofs, searches and the two questions over a log of any size: their times through the program's own functions, and the
 * plans of their own statements. Prints figures and asserts no times; a plan that reads a whole table of the log fails.
 */
const { values: options } = parseArgs({
  options: {
    entries: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    keep: { type: 'boolean', default: false },
  },
});
const ENTRIES = Number(options.entries);
const ROUNDS = Number(options.rounds);
const PROOFS = 100 * ROUNDS;

/** For the time of seeding only, when nothing that is lost matters. What is measured runs on the vault's own settings. */
const seeding = {
  shared_buffers: ENTRIES > 1e6 ? '2GB' : '256MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '1h',
  full_page_writes: 'off',
  autovacuum: 'off',
};
const serving = { shared_buffers: '128MB', max_wal_size: '512MB', io_method: 'worker' };

const kept: string[] = [];
const row = (name: string, cells: readonly (string | number)[]): void => {
  const text = cells.map((cell) => (typeof cell === 'number' ? cell.toFixed(2) : cell).padStart(12));
  say(`${name.padEnd(54)}${text.join('')}`);
  kept.push(`| ${[name, ...text.map((cell) => cell.trim())].join(' | ')} |`);
};
const head = (name: string, cells: readonly string[]): void => {
  kept.push('');
  row(name, cells);
  kept.push(`|${'---|'.repeat(cells.length + 1)}`);
};

const silent = { info() {}, warn() {}, error() {} };

const proofs = async (database: TestDatabase, client: pg.Client, root: Buffer): Promise<Plan[]> => {
  const evidence = createLogEvidence({ postgres: database.app, log: silent });
  if (!(await evidence.root(ENTRIES)).equals(root)) throw new Error('the tree is not that of the entries');
  const some = (): number => Math.floor(Math.random() * ENTRIES);
  const calls = (call: () => Promise<unknown>) => Array.from({ length: PROOFS }, () => call);
  const inclusion = await timed(calls(() => evidence.inclusion(some(), ENTRIES)));
  const consistency = await timed(calls(() => evidence.consistency(1 + some(), ENTRIES)));
  const any = await timed(
    calls(() => {
      const size = 1 + some();
      return evidence.inclusion(Math.floor(Math.random() * size), size);
    }),
  );
  await evidence.close();
  head('proofs, ms', ['p50', 'p99', 'longest']);
  row('inclusion in the newest tree', [inclusion.p50, inclusion.p99, inclusion.most]);
  row('inclusion in any tree', [any.p50, any.p99, any.most]);
  row('consistency with the newest tree', [consistency.p50, consistency.p99, consistency.most]);
  const statements: [string, Statement][] = [];
  let title = '';
  const prover = createLogProver(async (statement) => {
    statements.push([title, statement]);
    return (await client.query(statement.text, [...statement.values])).rows;
  });
  title = 'inclusion proof';
  await prover.inclusion(Math.floor(ENTRIES / 3), ENTRIES);
  title = 'consistency proof';
  await prover.consistency(Math.floor(ENTRIES / 3), ENTRIES);
  return Promise.all(statements.map(([name, statement]) => explain(client, name, statement)));
};

/** Every search by one thing, and some by several: first page, and one far down. */
const searches = async (reader: AuditReader, client: pg.Client): Promise<Plan[]> => {
  const plans: Plan[] = [];
  head('searches, a page of 50, ms', ['p50', 'longest', 'deep p50', 'longest']);
  for (const asked of askedOf(ENTRIES)) {
    const { name, query } = asked;
    const first = await timed(Array.from({ length: ROUNDS }, () => () => reader.search(query)));
    const deep = { ...query, cursor: deepCursor(ENTRIES) };
    const further = await timed(Array.from({ length: ROUNDS }, () => () => reader.search(deep)));
    row(name, [first.p50, first.most, further.p50, further.most]);
    plans.push(await explain(client, `${name}, first page`, searchStatement(query)));
    plans.push(await explain(client, `${name}, deep page`, searchStatement(deep)));
  }
  return plans;
};

/** As the service answers them; only what it writes into the log about the question is left out. */
const askLogOf = (reader: AuditReader) => {
  const unknown = { find: async () => null };
  const nothing = async (): Promise<void> => undefined;
  return createAskLog({
    log: reader,
    recordings: unknown,
    users: unknown,
    sources: unknown,
    recordReading: nothing,
  });
};

const questions = async (reader: AuditReader, client: pg.Client): Promise<Plan[]> => {
  const ask = askLogOf(reader);
  const plans: Plan[] = [];
  head('questions, ms', ['p50', 'longest', 'entries']);
  for (const { name, officer, audience, recording } of question.recordings(ENTRIES)) {
    const call = () => ask.whoHeard({ actor: officer, recording, period: {}, page: {}, request: 'bench' });
    const times = await timed(Array.from({ length: ROUNDS }, () => call));
    const { count } = await reader.count({ audience, recording }, MAX_COUNTED);
    row(`who heard ${name}`, [times.p50, times.most, String(count)]);
    const query: HearingSearch = { audience, recording };
    plans.push(await explain(client, `who heard ${name}`, hearingsStatement(query)));
  }
  for (const { name, officer, audience, id, period } of question.actors(ENTRIES)) {
    const call = (): Promise<Activity> =>
      ask.activity({ actor: officer, id, period, page: {}, request: 'bench' });
    const times = await timed(Array.from({ length: ROUNDS }, () => call));
    const { counts } = await call();
    const count = counts?.tallies.reduce((sum, tally) => sum + tally.count, 0) ?? 0;
    row(`what did ${name} do`, [times.p50, times.most, `${count}${counts?.complete ? '' : '+'}`]);
    const statement = tallyStatement({ ...period, audience, actor: id }, MAX_COUNTED);
    plans.push(await explain(client, `what did ${name} do: the counts`, statement));
  }
  return plans;
};

const single = async (reader: AuditReader, client: pg.Client): Promise<Plan[]> => {
  const { audience, query } = askedOf(ENTRIES)[0] as Asked;
  const [entry] = (await reader.search({ ...query, limit: 1 })).entries;
  if (entry === undefined) throw new Error('the log is empty');
  return [
    await explain(client, 'an entry by its place', readStatement(entry.seq, audience)),
    await explain(client, 'an entry by its event', findStatement(entry.event.id)),
  ];
};

const sizes = `SELECT pg_size_pretty(sum(pg_total_relation_size(oid)) FILTER (WHERE relname LIKE 'entry%')) AS entry,
  pg_size_pretty(sum(pg_total_relation_size(oid)) FILTER (WHERE relname = 'leaf')) AS leaf, version()
  FROM pg_class WHERE relnamespace = 'audit'::regnamespace AND relkind = 'r'`;

const report = (plans: readonly Plan[], large: ReadonlySet<string>, about: string): void => {
  if (saySummaries(plans, large)) process.exitCode = 1;
  if (!options.keep) return;
  const title = `# Plans over a log of ${ENTRIES.toLocaleString('en')} entries`;
  const how = `Made by \`npm run bench:log -- --entries ${ENTRIES} --keep\`. ${about}`;
  say(`kept in ${keepPlans(`log-${sizeName(ENTRIES)}`, [title, '', how, ...kept], plans)}`);
};

const main = async (): Promise<void> => {
  await using database = await startTestDatabase({ settings: serving });
  await database.stopServer();
  await database.startServer(seeding);
  const tip = await seedLog(database.app, ENTRIES, say);
  const seeder = await database.connect('superuser');
  await settleTables(seeder);
  const [size] = (await seeder.query(sizes)).rows;
  const about = `${String(size.version).split(' on ')[0]}, shared_buffers ${serving.shared_buffers}; entries and their indexes ${size.entry}, leaves ${size.leaf}.`;
  say(about);
  await database.stopServer();
  await database.startServer();
  const superuser = await database.connect('superuser');
  const client = await database.connect('app');
  const reader = createAuditReader({ postgres: database.app, log: silent });
  const plans = [
    ...(await proofs(database, client, rootOf(tip))),
    ...(await searches(reader, client)),
    ...(await questions(reader, client)),
    ...(await single(reader, client)),
  ];
  await reader.close();
  report(plans, await largeTables(superuser), about);
};

await main();
