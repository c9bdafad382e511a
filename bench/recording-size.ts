import { parseArgs } from 'node:util';
import type pg from 'pg';
import { createAssignmentTable } from '../src/storage/assignment-table.ts';
import { type Database, openDatabase } from '../src/storage/database.ts';
import { objectKeyOf } from '../src/storage/object-key.ts';
import type { ObjectKey } from '../src/storage/object-store.ts';
import { createRecordingTable, type IndexName, type SearchCriteria } from '../src/storage/recording-table.ts';
import { createWrappedKeyTable } from '../src/storage/wrapped-key-table.ts';
import { startTestDatabase } from '../test/support/postgres.ts';
import { keepPlans, largeTables, type Plan, say, saySummaries, sizeName, timed } from './explain.ts';
import { blindIn, idIn, seedRecordings, UNITS_EACH } from './recording-seed.ts';

/**
 * Every question that the vault asks of its recordings, over any number of them: how long the program's own functions take,
 * and the plans of the very statements they sent, told by the server itself. Prints figures and asserts no times; a plan that
 * reads the whole table fails.
 */
const { values: options } = parseArgs({
  options: {
    recordings: { type: 'string', default: '50000' },
    rounds: { type: 'string', default: '5' },
    keep: { type: 'boolean', default: false },
  },
});
const RECORDINGS = Number(options.recordings);
const ROUNDS = Number(options.rounds);
/** The server tells this session the plan of every statement it carried out. */
const TOLD = ['session_preload_libraries = auto_explain', 'auto_explain.log_min_duration = 0'].concat(
  ['log_analyze', 'log_buffers'].map((name) => `auto_explain.${name} = on`),
  'auto_explain.log_level = notice',
);

type Call = { readonly name: string; readonly call: () => Promise<unknown> };

/** Plans that the server told while `call` ran: of statements about recordings. */
const plansOf = async (told: string[], { name, call }: Call): Promise<readonly Plan[]> => {
  told.length = 0;
  await call();
  const plans = told.filter((message) => /\brecording\b/.test(message));
  return plans.map((message) => {
    const lines = message.split('\n');
    const first = lines.findIndex((line) => /\(cost=/.test(line));
    const time = /^duration: ([\d.]+) ms/.exec(message)?.[1];
    return { title: name, lines: [...lines.slice(first), `Execution Time: ${time} ms`] };
  });
};

type Ids = {
  readonly organisations: readonly string[];
  readonly units: (organisation: number, few: readonly number[]) => readonly string[];
  readonly blind: (kind: string, n: number) => Promise<Buffer>;
  readonly of: (kind: string, n: number) => Promise<string>;
};

const idsOf = async (client: pg.ClientBase): Promise<Ids> => {
  const of = (kind: string, n: number) => idIn(client, kind, n);
  const organisations: string[] = [];
  const units: string[] = [];
  for (const n of [0, 19]) organisations[n] = await of('organisation', n);
  for (let n = 0; n < 20 * UNITS_EACH; n += 1) units.push(await of('unit', n));
  return {
    of,
    organisations,
    units: (organisation, few) => few.map((n) => units[organisation * UNITS_EACH + n] as string),
    blind: (kind, n) => blindIn(client, kind, n),
  };
};

const everyUnit = Array.from({ length: UNITS_EACH }, (_, n) => n);
const DAY_MS = 86_400_000;
const ago = (days: number): Date => new Date(Date.now() - days * DAY_MS);

/** What nurses search for: in all units of the largest organisation, in one small one, and in the smallest organisation. */
const searchesOf = async (ids: Ids): Promise<readonly (readonly [string, SearchCriteria])[]> => {
  const { organisations, units, blind } = ids;
  const all: SearchCriteria = {
    organisation: organisations[0] as string,
    units: units(0, everyUnit),
    from: null,
    to: null,
    direction: null,
    indexes: [],
    after: null,
    limit: 51,
  };
  const few = { ...all, units: units(0, [UNITS_EACH - 2, UNITS_EACH - 1]) };
  const small = { ...all, organisation: organisations[19] as string, units: units(19, everyUnit) };
  const by = (name: IndexName, ...values: Buffer[]) => ({ indexes: [{ name, values }] });
  const far = { after: { startedAt: ago(4 * 365), id: organisations[0] as string } };
  const caller = by('caller', await blind('caller', 10), await blind('caller', 11));
  const queue = by('queue', await blind('queue', 0));
  return [
    ['the newest', all],
    ['the newest, far down', { ...all, ...far }],
    ['the newest of two small units', few],
    ['the newest of the smallest organisation', small],
    ['a day', { ...all, from: ago(700), to: ago(699) }],
    ['outbound', { ...all, direction: 'outbound' }],
    ['internal, which is rare', { ...all, direction: 'internal' }],
    ['internal, of two small units', { ...few, direction: 'internal' }],
    ['internal, on a day', { ...all, direction: 'internal', from: ago(700), to: ago(699) }],
    ['a call id', { ...all, ...by('callId', await blind('call', RECORDINGS - 4)) }],
    ['a caller under two versions of the key', { ...all, ...caller }],
    ['a caller, far down', { ...all, ...caller, ...far }],
    ['a caller in the smallest organisation', { ...small, ...caller }],
    ['a called number', { ...all, ...by('called', await blind('called', 3)) }],
    ['an agent', { ...all, ...by('agent', await blind('agent', 0)) }],
    ['an agent of other units', { ...few, ...by('agent', await blind('agent', 0)) }],
    ['a queue', { ...all, ...queue }],
    ['a queue of other units', { ...few, ...queue }],
    [
      'a queue under two versions of the key',
      { ...all, ...by('queue', await blind('queue', 0), await blind('none', 0)) },
    ],
    ['a patient', { ...all, ...by('personal', await blind('personal', 10)) }],
    ['a file name', { ...all, ...by('name', await blind('name', RECORDINGS - 4)) }],
    ['nobody', { ...all, ...by('caller', await blind('none', 1)) }],
    [
      'a caller and an agent',
      { ...all, indexes: [...caller.indexes, ...by('agent', await blind('agent', 0)).indexes] },
    ],
  ];
};

const callsOf = async (database: Database, ids: Ids): Promise<readonly Call[]> => {
  const recordings = createRecordingTable(database);
  const assignments = createAssignmentTable(database.prisma);
  const wrapped = createWrappedKeyTable(database.prisma);
  const id = await ids.of('recording', RECORDINGS - 4);
  const source = await ids.of('source', 0);
  const call = await ids.blind('call', RECORDINGS - 4);
  const none = await ids.blind('none', 2);
  const organisation = ids.organisations[0] as string;
  const keys: ObjectKey[] = [];
  for (let n = 200; n < 700; n += 1) keys.push(objectKeyOf(organisation, await ids.of('generation', n)));
  const list = { after: null, limit: 51 };
  const searches = await searchesOf(ids);
  return [
    ...searches.map(([name, criteria]) => ({
      name: `search: ${name}`,
      call: () => recordings.search(criteria),
    })),
    { name: 'a recording by its id', call: () => recordings.find(id) },
    { name: 'a second delivery', call: () => recordings.findByDelivery(source, [call, none], 0) },
    { name: 'a first delivery', call: () => recordings.findByDelivery(source, [none], 0) },
    { name: 'the sweeper', call: () => recordings.staleIntents(new Date()) },
    { name: 'objects that no row answers for', call: () => recordings.unclaimed(keys) },
    { name: 'recordings of nobody', call: () => assignments.unassigned(organisation, list) },
    { name: 'a page of wrapped keys', call: () => wrapped.page(id, 1_000) },
  ];
};

const report = (plans: readonly Plan[], large: ReadonlySet<string>, figures: readonly string[]): void => {
  if (saySummaries(plans, large)) process.exitCode = 1;
  if (!options.keep) return;
  const title = `# Plans over ${RECORDINGS.toLocaleString('en')} recordings`;
  const how = `Made by \`npm run bench:recordings -- --recordings ${RECORDINGS} --keep\`.`;
  say(`kept in ${keepPlans(`recordings-${sizeName(RECORDINGS)}`, [title, '', how, ...figures], plans)}`);
};

const measure = async (database: Database, client: pg.ClientBase): Promise<void> => {
  const told: string[] = [];
  for (const pool of [database.pool, database.keyed])
    pool.on('connect', (opened) => opened.on('notice', ({ message }) => told.push(message ?? '')));
  const calls = await callsOf(database, await idsOf(client));
  const plans: Plan[] = [];
  const figures = ['', '| milliseconds | p50 | longest |', '|---|---|---|'];
  say(`${'milliseconds'.padEnd(54)}${'p50'.padStart(10)}${'longest'.padStart(10)}`);
  for (const one of calls) {
    // The statements that have a name are planned for good after five times, whatever their values.
    const times = await timed(Array.from({ length: Math.max(ROUNDS, 6) }, () => one.call));
    const own = await plansOf(told, one);
    if (own.length === 0) throw new Error(`the server told no plan of "${one.name}"`);
    plans.push(...own);
    say(`${one.name.padEnd(54)}${times.p50.toFixed(2).padStart(10)}${times.most.toFixed(2).padStart(10)}`);
    figures.push(`| ${one.name} | ${times.p50.toFixed(2)} | ${times.most.toFixed(2)} |`);
  }
  report(plans, await largeTables(client), figures);
};

const main = async (): Promise<void> => {
  await using db = await startTestDatabase({
    settings: { shared_buffers: '128MB', max_wal_size: '4GB', full_page_writes: 'off', io_method: 'worker' },
  });
  const superuser = await db.connect('superuser');
  const database = await openDatabase(db.app);
  const started = performance.now();
  await seedRecordings(superuser, RECORDINGS);
  say(`${RECORDINGS} recordings made in ${((performance.now() - started) / 1_000).toFixed(0)} s`);
  for (const setting of TOLD) await superuser.query(`ALTER ROLE ${db.app.user} SET ${setting}`);
  await measure(database, superuser);
  await database.close();
};

await main();
