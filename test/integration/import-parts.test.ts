import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  appendFile,
  chmod,
  link,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDeliveryGate } from '../../src/agent/delivery-gate.ts';
import { createCallOf } from '../../src/agent/import/call-of.ts';
import { type JournalEntry, openJournal } from '../../src/agent/import/journal.ts';
import { createNamePattern } from '../../src/agent/import/name-pattern.ts';
import { createSeenTable } from '../../src/agent/import/seen-table.ts';
import { createTakeFile } from '../../src/agent/import/take-file.ts';
import { walk } from '../../src/agent/import/walk.ts';
import { createWipe } from '../../src/agent/import/wipe.ts';
import { createWriters } from '../../src/agent/import/writers.ts';
import { lookAround } from '../../src/agent/open-writers.ts';
import { createVaultClient } from '../../src/agent/vault-client.ts';
import { createVaultQuestions } from '../../src/agent/vault-questions.ts';
import { createLegacyNames } from '../../src/core/legacy-names.ts';
import { generatedCall } from '../support/generated-call.ts';

let home: string;
let share: string;
const closing: (() => unknown)[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cvi-'));
  share = join(home, 'share');
  await mkdir(share);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await rm(home, { recursive: true });
});

const about = { vault: 'http://127.0.0.1:1' };
const journalAt = async (name = 'journal') => {
  const journal = await openJournal(join(home, name), { ...about, folder: share });
  closing.push(journal.close);
  return journal;
};

const listed = async (): Promise<string[]> => {
  const found: string[] = [];
  for await (const one of walk(share)) {
    found.push(`${one.kind} ${one.relative.toString('latin1')}`);
    if (one.kind === 'file') await one.release();
  }
  return found.toSorted();
};

describe('a share is gone through', () => {
  test('whatever its names are, and no link is followed', async () => {
    await mkdir(join(share, 'a\nb'));
    await writeFile(join(share, 'a\nb', '📞"\'.wav'), 'x');
    await writeFile(
      Buffer.concat([Buffer.from(`${share}/m`), Buffer.from([0xf6]), Buffer.from('te.wav')]),
      'x',
    );
    await symlink('/etc', join(share, 'out'));
    await symlink('a\nb', join(share, 'within'));
    expect(await listed()).toEqual(
      [
        'file m\xf6te.wav',
        `file a\nb/${Buffer.from('📞"\'.wav').toString('latin1')}`,
        'link out',
        'link within',
      ].toSorted(),
    );
  });

  test('a folder that becomes a link while its files are taken leads nowhere else', async () => {
    await mkdir(join(share, 'day'));
    await mkdir(join(home, 'secret'));
    for (const n of [1, 2, 3]) {
      await writeFile(join(share, 'day', `${n}.wav`), 'share');
      await writeFile(join(home, 'secret', `${n}.wav`), 'secret');
    }
    const seen: string[] = [];
    const found = walk(share);
    for await (const one of found) {
      if (seen.length === 0) {
        await rename(join(share, 'day'), join(home, 'moved'));
        await symlink(join(home, 'secret'), join(share, 'day'));
      }
      if (one.kind !== 'file') continue;
      seen.push(await readFile(one.path, 'utf8'));
      await one.release();
    }
    expect(seen).toEqual(['share', 'share', 'share']);
  });

  test('folders without end and folders that cannot be read are told', async () => {
    const deep = join(share, ...Array.from({ length: 70 }, () => 'd'));
    await mkdir(deep, { recursive: true });
    await writeFile(join(deep, 'x.wav'), 'x');
    await mkdir(join(share, 'closed'));
    await chmod(join(share, 'closed'), 0);
    const kinds = (await listed()).map((one) => one.split(' ', 1)[0]);
    // Whoever runs the tests as root can read every folder.
    expect(kinds).toEqual(process.geteuid?.() === 0 ? ['too_deep'] : ['folder_unreadable', 'too_deep']);
    await chmod(join(share, 'closed'), 0o700);
  });

  test('a share that is not there is said to be unreadable', async () => {
    await expect(walk(join(home, 'nowhere')).next()).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

const entry = (
  journal: { idOf(path: Buffer): string },
  name: string,
  more: Partial<JournalEntry> = {},
): JournalEntry => ({
  file: journal.idOf(Buffer.from(name)),
  outcome: 'verified',
  bytes: 1,
  ...more,
});

const JOURNAL_MODULE = new URL('../../src/agent/import/journal.ts', import.meta.url).href;
const HOLD = `import(process.argv[1]).then(({ openJournal }) =>
  openJournal(process.argv[2], { vault: '${about.vault}', folder: process.argv[3] })
).then(() => { console.log('held'); setInterval(() => undefined, 60_000); });`;

describe('a journal', () => {
  test('knows after a restart what it was told, and the last word counts', async () => {
    const first = await journalAt();
    await Promise.all([
      first.append(entry(first, 'a', { outcome: 'growing' })),
      first.append(entry(first, 'b')),
      ...Array.from({ length: 3_000 }, (_, n) => first.append(entry(first, `file ${n}`, { bytes: n }))),
    ]);
    await first.append(entry(first, 'a', { bytes: 7 }));
    await first.close();
    const again = await journalAt();
    expect(await again.find(again.idOf(Buffer.from('a')))).toEqual(entry(first, 'a', { bytes: 7 }));
    expect(await again.find(again.idOf(Buffer.from('file 2999')))).toMatchObject({ bytes: 2999 });
    expect(await again.find(again.idOf(Buffer.from('c')))).toBeNull();
    const all: boolean[] = [];
    for await (const { met } of again.entries()) all.push(met);
    expect([all.length, all.filter(Boolean).length]).toEqual([3_002, 2]);
  });

  test('cut at any byte of its last line, it forgets that line alone and goes on', async () => {
    const first = await journalAt();
    await first.append(entry(first, 'a'));
    const kept = (await readFile(join(home, 'journal'))).length;
    await first.append(entry(first, 'b', { sha256: 'f'.repeat(64) }));
    await first.close();
    const whole = (await readFile(join(home, 'journal'))).length;
    for (let length = kept; length < whole; length += 13) {
      await truncate(join(home, 'journal'), length);
      const again = await journalAt();
      expect(await again.find(again.idOf(Buffer.from('a')))).not.toBeNull();
      expect(await again.find(again.idOf(Buffer.from('b')))).toBeNull();
      await again.append(entry(again, 'b', { bytes: length }));
      await again.close();
      const third = await journalAt();
      expect(await third.find(third.idOf(Buffer.from('b')))).toMatchObject({ bytes: length });
      await third.close();
      await truncate(join(home, 'journal'), kept);
      await appendFile(join(home, 'journal'), ' '.repeat(whole - kept));
    }
  });
});

describe("a journal is one import's at a time", () => {
  test('another is refused, and one that was killed holds it no more', async () => {
    const first = await journalAt();
    await first.append(entry(first, 'a'));
    await expect(journalAt()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('Another import'),
    });
    await link(join(home, 'journal'), join(home, 'same'));
    await expect(journalAt('same')).rejects.toThrow('Another import');
    await first.close();
    const holder = spawn(process.execPath, ['-e', HOLD, JOURNAL_MODULE, join(home, 'journal'), share], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    await expect(journalAt()).rejects.toThrow('Another import');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const again = await journalAt();
    expect(await again.find(again.idOf(Buffer.from('a')))).not.toBeNull();
  });

  test('written by somebody on another machine, who is not seen, it takes no line at a wrong place', async () => {
    const first = await journalAt();
    await first.append(entry(first, 'a'));
    await appendFile(join(home, 'journal'), `${JSON.stringify(entry(first, 'theirs'))}\n`);
    await expect(first.append(entry(first, 'b'))).rejects.toThrow('Somebody else writes the journal');
    await expect(first.append(entry(first, 'c'))).rejects.toThrow('Somebody else writes the journal');
    await first.close();
    const again = await journalAt();
    expect(await again.find(again.idOf(Buffer.from('theirs')))).not.toBeNull();
    expect(await again.find(again.idOf(Buffer.from('b')))).toBeNull();
  });

  test('what is no journal is left as it is', async () => {
    for (const [name, text] of [
      ['letter', 'Dear operator,\n'],
      ['one line', 'x'.repeat(10_000)],
      ['other', '{"journal":"callvault import","version":2}\n'],
    ] as const) {
      await writeFile(join(home, name), text, { mode: 0o600 });
      await expect(journalAt(name)).rejects.toMatchObject({ code: 'config_invalid' });
      expect(await readFile(join(home, name), 'utf8')).toBe(text);
    }
    await symlink(join(home, 'letter'), join(home, 'pointing'));
    await expect(journalAt('pointing')).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

test('a table of a hundred thousand keys finds each, and no other', () => {
  const table = createSeenTable();
  const key = (n: number): string => (n * 2_654_435_761).toString(16).padStart(16, '0').slice(-16);
  for (let n = 1; n <= 100_000; n += 1) table.set(key(n), n);
  for (let n = 1; n <= 100_000; n += 1) if (table.get(key(n)) !== n) throw new Error(`lost ${n}`);
  expect(table.get(key(100_001))).toBeNull();
  expect([table.isMarked(key(5)), table.mark(key(5)), table.isMarked(key(5)), table.size()]).toEqual([
    false,
    false,
    true,
    100_000,
  ]);
});

describe('a pattern of the operator', () => {
  test('one that a name can make take for ever is stopped, and ends the import when that goes on', () => {
    const match = createNamePattern('^(?<caller>(a+)+)$');
    expect(match('aaa')).toMatchObject({ caller: 'aaa' });
    const evil = `${'a'.repeat(60)}!`;
    expect(() => Array.from({ length: 21 }, () => match(evil))).toThrow(
      expect.objectContaining({ code: 'config_invalid' }),
    );
  });
  test.each(['(', '.*', '(?<password>.*)', `(?<caller>${'a'.repeat(2_000)})`])('%s is refused', (source) => {
    expect(() => createNamePattern(source)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});

/** What answers as a vault should, but for what a test changes. */
type Script = {
  readonly verification?: object | number;
  /** With a status of `verification`. */
  readonly code?: string;
  /** What becomes of the upload of a file of this name. */
  readonly upload?: (name: string) => 'cut' | number | null;
};
const lyingVault = async (given: Script) => {
  let script = given;
  const id = randomUUID();
  let uploads = 0;
  const listener: RequestListener = (request, response) => {
    const digest = /:(.+):/.exec(String(request.headers['content-digest']))?.[1] ?? '';
    const sha256 = Buffer.from(digest, 'base64').toString('hex');
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      const say = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      };
      if (request.method === 'PUT') {
        uploads += 1;
        const end = script.upload?.(String(request.headers['x-call-original-name'])) ?? null;
        if (end === 'cut') return request.socket.destroy();
        if (end !== null) return say(end, { code: 'forbidden' });
        last = { id, sha256, bytes };
        return say(201, { id, sha256 });
      }
      if (request.method === 'GET') return say(200, { status: 'alive' });
      const { verification = {}, code = 'integrity_failure' } = script;
      if (typeof verification === 'number') return say(verification, { code });
      return say(200, { ...last, ...verification });
    });
  };
  let last: { id: string; sha256: string; bytes: number } = { id, sha256: '', bytes: 0 };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const client = createVaultClient({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    apiKey: 'key',
  });
  closing.push(client.close);
  return {
    client,
    questions: createVaultQuestions(client),
    uploads: () => uploads,
    say: (other: Script): void => {
      script = other;
    },
  };
};

/** One look is enough where nothing is removed and nobody writes. */
const oneLook = createWriters({ maxAgeMs: 600_000 });

const takerOf = async (script: Script, minAgeMs = 0, writersOf = oneLook, unseenMs = minAgeMs) => {
  const { client, questions, uploads, say } = await lyingVault(script);
  const journal = await journalAt();
  const take = createTakeFile({
    client,
    questions,
    journal,
    gate: createDeliveryGate({ firstMs: 1, ceilingMs: 5 }),
    callOf: createCallOf({ parse: createLegacyNames({ timeZone: 'UTC' }), last: {}, now: Date.now }),
    checkUnits: async () => null,
    sides: { renames: new Map(), timeZone: 'UTC' },
    minAge: { seenMs: minAgeMs, unseenMs },
    writersOf,
    now: Date.now,
    onWaiting: () => undefined,
  });
  const all = async () => {
    const outcomes: Record<string, string> = {};
    for await (const found of walk(share)) {
      const { entry: told } = await take(found, AbortSignal.timeout(20_000));
      outcomes[found.relative.toString()] = told.outcome;
      if (found.kind === 'file') await found.release();
    }
    return outcomes;
  };
  return { journal, questions, all, uploads, say };
};

describe('one file that never gets through keeps no import from its end', () => {
  beforeEach(async () => {
    for (const name of ['a', 'b', 'c']) await writeFile(join(share, `${name}.wav`), generatedCall(1));
  });
  test.each<[string, 'cut' | number]>([
    ['its connection is cut each time, and the vault says that it is well', 'cut'],
    ['the vault fails on it each time', 500],
  ])('%s', async (_what, end) => {
    const { all } = await takerOf({ upload: (name) => (name.startsWith('b') ? end : null) });
    expect(await all()).toEqual({ 'a.wav': 'verified', 'b.wav': 'undelivered', 'c.wav': 'verified' });
  });
});

describe('a file is verified only when the vault says that its own bytes lie there', () => {
  beforeEach(() => writeFile(join(share, 'a.wav'), generatedCall(1)));
  test.each<[string, Script, string]>([
    ['the same', {}, 'verified'],
    ['other bytes', { verification: { sha256: 'a'.repeat(64) } }, 'damaged_in_vault'],
    ['fewer bytes', { verification: { bytes: 3 } }, 'damaged_in_vault'],
    ['something about another recording', { verification: { id: randomUUID() } }, 'undelivered'],
    ['that they are damaged', { verification: 502 }, 'damaged_in_vault'],
    ['nothing that is understood', { verification: { sha256: 5 } }, 'undelivered'],
  ])('%s', async (_what, script, outcome) => {
    const { all } = await takerOf(script);
    expect(await all()).toEqual({ 'a.wav': outcome });
  });

  test('what was just written is left, whatever it is', async () => {
    const { all, uploads } = await takerOf({}, 60_000);
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'growing' }, 0]);
  });

  test('what is verified is neither read nor sent again; what changed since is', async () => {
    const { all, uploads } = await takerOf({});
    await all();
    await all();
    expect(uploads()).toBe(1);
    await appendFile(join(share, 'a.wav'), 'more');
    expect(await all()).toEqual({ 'a.wav': 'verified' });
    expect(uploads()).toBe(2);
  });

  test('what a process holds open for writing is left, however long nothing was written', async () => {
    const { all, uploads } = await takerOf({}, 1_000, createWriters({ maxAgeMs: 0 }));
    const old = new Date(Date.now() - 120_000);
    await utimes(join(share, 'a.wav'), old, old);
    const writer = await open(join(share, 'a.wav'), 'a');
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'growing' }, 0]);
    await writer.close();
    const reader = await open(join(share, 'a.wav'), 'r');
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'verified' }, 1]);
    await reader.close();
  });
});

/** Old enough wherever the tests run: some processes cannot be looked into. */
const OLD = new Date(Date.now() - 2 * 3_600_000);
const layOld = async (name: string, bytes: Buffer | string): Promise<void> => {
  await writeFile(join(share, name), bytes);
  await utimes(join(share, name), OLD, OLD);
};

const wipeOf = (
  { journal, questions }: Awaited<ReturnType<typeof takerOf>>,
  seenMs = 60_000,
  look = lookAround,
) => {
  const writersOf = createWriters({ maxAgeMs: 0, look: () => look() });
  const minAge = { seenMs, unseenMs: seenMs === 0 ? 0 : 3_600_000 };
  const deps = { folder: share, parallel: 2, journal, questions, writersOf, minAge, now: Date.now };
  const wipe = createWipe({ ...deps, onWiped: () => undefined });
  return () => wipe(AbortSignal.timeout(50_000));
};

/** An import of a vault that answers as it should, then a removal from one that answers by `script`. */
const wipeWith = async (script: Script, minAgeMs?: number, act?: () => Promise<unknown>) => {
  await layOld('a.wav', generatedCall(1));
  const taker = await takerOf({});
  expect(await taker.all()).toEqual({ 'a.wav': 'verified' });
  taker.say(script);
  await act?.();
  return { ...taker, wiped: await wipeOf(taker, minAgeMs)() };
};

describe('before a file goes, the vault reads it back once more', () => {
  test.each<[string, Script, string | null]>([
    ['it is there', {}, null],
    ['it was erased', { verification: 410, code: 'erased' }, 'not_in_vault'],
    ['it is unknown', { verification: 404, code: 'not_found' }, 'not_in_vault'],
    ['the store lost it', { verification: 502 }, 'damaged_in_vault'],
    ['other bytes lie there', { verification: { sha256: 'a'.repeat(64) } }, 'damaged_in_vault'],
    ['the answer is about another', { verification: { id: randomUUID() } }, 'vault_away'],
  ])('%s', async (_what, script, kept) => {
    const { wiped } = await wipeWith(script);
    expect(wiped).toEqual(kept === null ? { wiped: 1, kept: {} } : { wiped: 0, kept: { [kept]: 1 } });
    expect(await listed()).toEqual(kept === null ? [] : ['file a.wav']);
  });

  test('what somebody holds open for writing by then stays, and no byte that he writes is lost', async () => {
    const { wiped } = await wipeWith({}, 60_000, async () => {
      const writer = await open(join(share, 'a.wav'), 'a');
      closing.push(writer.close.bind(writer));
    });
    expect(wiped).toEqual({ wiped: 0, kept: { growing: 1 } });
    expect(await listed()).toEqual(['file a.wav']);
  });

  test('what was touched a moment ago stays', async () => {
    const { wiped } = await wipeWith({}, 86_400_000);
    expect(wiped).toEqual({ wiped: 0, kept: { growing: 1 } });
  });

  test('where a writer may be unseen, what was touched within the hour is neither taken nor removed', async () => {
    // A folder of processes in which nobody is to be seen is one that hides them.
    const hidden = () => lookAround(join(home, 'nowhere'));
    await layOld('a.wav', generatedCall(1));
    const lately = new Date(Date.now() - 10 * 60_000);
    await utimes(join(share, 'a.wav'), lately, lately);
    const unseen = createWriters({ maxAgeMs: 0, look: hidden });
    const early = await takerOf({}, 60_000, unseen, 3_600_000);
    expect([await early.all(), early.uploads()]).toEqual([{ 'a.wav': 'growing' }, 0]);
    await early.journal.close();
    const taker = await takerOf({});
    await taker.all();
    expect(await wipeOf(taker, 60_000, hidden)()).toEqual({ wiped: 0, kept: { growing: 1 } });
    await utimes(join(share, 'a.wav'), OLD, OLD);
    await taker.all();
    expect(await wipeOf(taker, 60_000, hidden)()).toEqual({ wiped: 1, kept: {} });
  });

  test('a side file that somebody still writes keeps its recording', async () => {
    await layOld('a.wav', generatedCall(1));
    await layOld('a.wav.json', '{"callId":"c"}');
    const taker = await takerOf({});
    expect(await taker.all()).toEqual({ 'a.wav': 'verified', 'a.wav.json': 'side_file' });
    const writer = await open(join(share, 'a.wav.json'), 'r+');
    expect(await wipeOf(taker)()).toEqual({ wiped: 0, kept: { growing: 1 } });
    await writer.close();
    expect(await wipeOf(taker)()).toEqual({ wiped: 1, kept: {} });
    expect(await listed()).toEqual([]);
  });
});

describe('what was not removed is known to the next import', () => {
  test('changed in place behind its time, it stays, and the next import takes it again', async () => {
    const { wiped, all, uploads } = await wipeWith({}, 0, async () => {
      const bytes = await readFile(join(share, 'a.wav'));
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
      await writeFile(join(share, 'a.wav'), bytes);
      await utimes(join(share, 'a.wav'), OLD, OLD);
    });
    expect(wiped).toEqual({ wiped: 0, kept: { changed: 1 } });
    expect([await all(), uploads()]).toEqual([{ 'a.wav': 'verified' }, 2]);
  });

  test.each<[string, Script]>([
    ['erased', { verification: 410, code: 'erased' }],
    ['damaged', { verification: 502 }],
  ])(
    '%s in the vault, it counts as verified no more: the next import sends it again',
    async (_what, script) => {
      const { all, uploads } = await wipeWith(script);
      await all();
      expect(uploads()).toBe(2);
    },
  );

  test('what became a folder, or was removed by somebody else, is told as gone', async () => {
    const { wiped } = await wipeWith({}, 0, async () => {
      await rm(join(share, 'a.wav'));
      await mkdir(join(share, 'a.wav'));
    });
    expect(wiped).toEqual({ wiped: 0, kept: { gone: 1 } });
  });
});
