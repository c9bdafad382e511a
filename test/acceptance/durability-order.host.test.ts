import { execFileSync } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { durabilityFaults, parseTrace, type TracedUpload } from '../support/syscall-trace.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** What the checker says when the named step is missing. */
const NOT_FLUSHED = 'the object was linked to its name before its bytes were flushed';
const NOT_NAMED = 'the entry was sent before the name of the object was flushed';
const COPY_NOT_FLUSHED = 'the copy of the envelope was linked to its name before its bytes were flushed';
const COPY_NOT_NAMED = 'the entry was sent before the name of the copy of the envelope was flushed';
const NOT_COMMITTED = 'the database answered before the commit of the entry was flushed';

let world: CareLineVault;

beforeAll(async () => {
  // Without strace nothing is proven, and that must not look like success.
  expect(execFileSync('strace', ['--version'], { encoding: 'utf8' })).toContain('strace');
  world = await startCareLine();
  await world.line.nurse.token();
  await world.vault.stop();
});
afterAll(() => world?.folder.remove());

const SYSCALLS = [
  'fsync,fdatasync,mkdir,mkdirat,link,linkat,rename,renameat,renameat2',
  'write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg',
].join(',');

type Traced = { readonly text: string; readonly uploads: readonly TracedUpload[] };

/** Runs vault and database under strace while `count` calls are delivered one after another, and stops them. */
const traced = async (
  count: number,
  env: Readonly<Record<string, string>> = {},
  whenStarted: () => Promise<unknown> = async () => undefined,
): Promise<Traced> => {
  const { folder, line } = world;
  const file = join(folder.home, 'trace');
  // -D: the process we start is the vault, and strace stands beside it.
  const strace = [
    'strace',
    '-D',
    '-f',
    '-yy',
    '-s',
    '4096',
    '--seccomp-bpf',
    '-o',
    file,
    '-e',
    `trace=${SYSCALLS}`,
  ];
  const vault = await folder.start(env, strace);
  await whenStarted();
  const uploads: TracedUpload[] = [];
  for (let call = 0; call < count; call += 1) {
    const recording = await line.store(newCall(150_000 + 200_000 * call));
    const row = (await inspect(folder)).rows.find(({ id }) => id === recording);
    const [room, organisation, generation = ''] = (row?.object ?? '').split('/');
    const name = `${room}/${organisation}/${generation.slice(0, 2)}/${generation}`;
    uploads.push({ recording, objectPath: join(folder.dataDir, 'objects', name) });
  }
  await vault.stop();
  const ended = new RegExp(`^${vault.pid} +\\+\\+\\+ exited`, 'm');
  await until(async () => ended.test(await readFile(file, 'utf8')));
  const text = await readFile(file, 'utf8');
  await rm(file);
  return { text, uploads };
};

const faultsOf = ({ text, uploads }: Traced): (readonly string[])[] => {
  const calls = parseTrace(text);
  return uploads.map((upload) => durabilityFaults(calls, upload));
};

const inServer = async (...statements: string[]): Promise<void> => {
  const vault = await world.folder.start();
  await inDatabase(
    world.folder,
    async (client) => {
      for (const statement of statements) await client.query(statement);
    },
    'superuser',
  );
  await vault.stop();
};

test('object and copy flushed, linked, folder flushed, entry committed, and only then 201', async () => {
  const genuine = await traced(3);
  expect(faultsOf(genuine)).toEqual([[], [], []]);
  const [upload] = genuine.uploads as [TracedUpload];
  const kept = (isLine: (line: string) => boolean): string =>
    genuine.text
      .split('\n')
      .filter((line) => !isLine(line))
      .join('\n');
  // The checker sees each step: the very trace with one of them taken out is refused.
  const folder = upload.objectPath.slice(0, upload.objectPath.lastIndexOf('/'));
  const linkOf = (path: string) => (line: string) => /link\(/.test(line) && line.includes(`"${path}"`);
  const draftOf = (path: string): string =>
    /"([^"]+)"/.exec(genuine.text.split('\n').find(linkOf(path)) ?? '')?.[1] ?? 'no draft';
  const flushOf = (path: string) => (line: string) => /fsync/.test(line) && line.includes(`<${path}>`);
  const copyPath = `${upload.objectPath}.envelope`;
  for (const [faults, isLine] of [
    [[NOT_FLUSHED], flushOf(draftOf(upload.objectPath))],
    [[COPY_NOT_FLUSHED], flushOf(draftOf(copyPath))],
    [[NOT_NAMED, COPY_NOT_NAMED], flushOf(folder)],
    [[NOT_COMMITTED], (line: string) => /fdatasync.*pg_wal/.test(line)],
    [['the object was not linked to its name'], linkOf(upload.objectPath)],
    [['the copy of the envelope was not linked to its name'], linkOf(copyPath)],
    [['the client was never told'], (line: string) => line.includes('HTTP/1.1 201')],
  ] as const)
    expect(durabilityFaults(parseTrace(kept(isLine)), upload)).toEqual(faults);
});

test('201 before the entry is committed would be seen', async () => {
  const genuine = await traced(1);
  const lines = genuine.text.split('\n');
  const told = lines.findIndex((line) => line.includes('HTTP/1.1 201'));
  const sent = lines.findIndex((line) => line.includes('recording.stored'));
  lines.splice(sent, 0, ...lines.splice(told, 1));
  expect(faultsOf({ ...genuine, text: lines.join('\n') })).toEqual([
    ['the client was told before the entry was committed'],
  ]);
});

describe('in a real run without one flush the checker fails', () => {
  const preload = `--import=${join(import.meta.dirname, '../support/without-flush.ts')}`;
  const DRAFT = '/incoming/.*\\.part$';
  test.each([
    ['of the object', { UNFLUSHED: DRAFT, UNFLUSHED_FROM: '1024' }, [NOT_FLUSHED]],
    ['of the copy of its envelope', { UNFLUSHED: DRAFT, UNFLUSHED_TO: '1024' }, [COPY_NOT_FLUSHED]],
    [
      'of the folder that holds their names',
      { UNFLUSHED: '/recordings/[^/]+/[0-9a-f]{2}$' },
      [NOT_NAMED, COPY_NOT_NAMED],
    ],
  ])('%s', async (_of, unflushed, faults) => {
    expect(faultsOf(await traced(1, { NODE_OPTIONS: preload, ...unflushed }))).toEqual([faults]);
  });

  test('of a folder made on the way', async () => {
    const unflushed = { NODE_OPTIONS: preload, UNFLUSHED: '/recordings/[0-9a-f-]{36}$' };
    await rm(join(world.folder.dataDir, 'objects/recordings'), { recursive: true });
    expect(faultsOf(await traced(1, unflushed))[0]).toEqual([
      'a folder on the way to the object was made, and the folder around it not flushed',
    ]);
  });

  test('of the commit; and a database told not to flush commits flushes these all the same', async () => {
    await inServer('ALTER ROLE callvault SET synchronous_commit = off');
    expect(faultsOf(await traced(1))).toEqual([[]]);
    // While it runs: with such a function it would not start.
    const takeFlushOut = () =>
      inDatabase(
        world.folder,
        async (client) => {
          const text = `SELECT pg_get_functiondef('audit.append(text,bigint,bytea[],text[])'::regprocedure) AS sql`;
          const definition = (await client.query<{ sql: string }>(text)).rows[0]?.sql ?? '';
          const unsafe = definition.replace(
            /PERFORM set_config\('synchronous_commit', 'on', true\);/,
            'NULL;',
          );
          expect(unsafe).not.toBe(definition);
          await client.query(unsafe);
        },
        'superuser',
      );
    expect(faultsOf(await traced(1, {}, takeFlushOut))).toEqual([[NOT_COMMITTED]]);
  });
});
