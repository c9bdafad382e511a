import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { finishPutBacks } from '../../src/agent/watch-leftovers.ts';
import type { WatchEvent } from '../../src/agent/watch-options.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';

/** What an agent left that was killed while it put a recording back: the draft is the only copy of those bytes. */
const SETTLE_MS = 150;
const CALL = generatedCall(3, 7_301);
let home: string;
let spool: string;
let codes: string[];
let stop: AbortController;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'cvl-'));
  spool = join(home, 'spool');
  mkdirSync(spool);
  mkdirSync(join(home, 'proc', '1', 'fd'), { recursive: true });
  codes = [];
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  rmSync(home, { recursive: true });
});

const finish = (given: { seen?: boolean; proc?: string; once?: boolean; recursive?: boolean } = {}) =>
  finishPutBacks(
    {
      root: Buffer.from(spool),
      recursive: given.recursive === true,
      proc: given.proc ?? (given.seen === false ? home : join(home, 'proc')),
      unseenRestMs: SETTLE_MS * 4,
      settleMs: SETTLE_MS,
      onEvent: (event: WatchEvent) => {
        if (event.event === 'trouble') codes.push(`${event.what} ${event.code}`);
      },
    },
    stop.signal,
    given.once,
  );
const lay = (name: string, bytes: Buffer | string = CALL): string => {
  const path = join(spool, name);
  writeFileSync(path, bytes);
  return path;
};
const names = (): string[] => readdirSync(spool).toSorted();
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Puts a removed recording back, in a process of its own that is killed at one of its calls to the system. */
const KILLED = `
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { openFile } from '${join(import.meta.dirname, '../../src/agent/file-digest.ts')}';
const [spool, at, times] = process.argv.slice(1);
const path = Buffer.from(spool + '/a.wav');
const side = Buffer.from(spool + '/a.wav.json');
const opened = { path, file: await openFile(path), side: { kind: 'json', path: side, isOfStem: false, file: await openFile(side) } };
await fs.unlink(path);
await fs.unlink(side);
let count = 0;
const kill = () => { count += 1; if (count === Number(times)) process.kill(process.pid, 'SIGKILL'); };
if (at === 'write' || at === 'sync') {
  const open = fs.open;
  fs.open = async (...args) => {
    const handle = await open(...args);
    const own = at === 'write' ? 'writeFile' : 'sync';
    const call = handle[own].bind(handle);
    handle[own] = async (...given) => { await call(...given); kill(); };
    return handle;
  };
} else {
  const call = fs[at];
  fs[at] = async (...args) => { const done = await call(...args); kill(); return done; };
}
syncBuiltinESMExports();
const { putBack } = await import('${join(import.meta.dirname, '../../src/agent/watch-put-back.ts')}');
await putBack(opened);
`;
const killedAt = async (at: string, times: number): Promise<NodeJS.Signals | null> => {
  lay('a.wav');
  lay('a.wav.json', '{"callId":"call-9"}');
  const args = ['--input-type=module', '-e', KILLED, spool, at, String(times)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  return new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
};

describe('killed while it puts back', () => {
  // The side file goes first: each call is made for it, and then for the recording.
  test.each([
    ['side file written', 'write', 1, ['a.wav.json'], 'unlinked put_back_part'],
    ['side file named', 'link', 1, ['a.wav.json'], null],
    ['recording in part', 'write', 2, ['a.wav', 'a.wav.json'], 'unlinked put_back_part'],
    ['recording flushed', 'sync', 2, ['a.wav', 'a.wav.json'], 'unlinked put_back_part'],
    ['recording whole', 'rename', 2, ['a.wav', 'a.wav.json'], 'unlinked put_back'],
    ['recording named', 'link', 2, ['a.wav', 'a.wav.json'], null],
    ['draft removed', 'unlink', 2, ['a.wav', 'a.wav.json'], null],
  ])('%s: the next start finishes it', async (_, at, times, left, code) => {
    expect(await killedAt(at, times)).toBe('SIGKILL');
    await finish();
    expect(names()).toEqual(left);
    expect(codes).toEqual(code === null ? [] : [code]);
    expect(readFileSync(join(spool, 'a.wav.json'), 'utf8')).toBe('{"callId":"call-9"}');
    if (left.length === 2) expect(sha256(join(spool, 'a.wav'))).toBe(sha256(lay('whole.wav')));
  });
});

const draft = (state: string, name = 'a.wav') => `.callvault-77-1234.${state}.${name}`;

describe('nothing is lost', () => {
  test('a part of it is a file again as well, and over no other', async () => {
    lay('a.wav', 'another');
    lay(draft('part'), CALL.subarray(0, 9_000));
    await finish();
    expect(names()).toEqual(['a-2.wav', 'a.wav']);
    expect(readFileSync(join(spool, 'a-2.wav'))).toEqual(CALL.subarray(0, 9_000));
    expect(readFileSync(join(spool, 'a.wav'), 'utf8')).toBe('another');
    expect(codes).toEqual(['unlinked put_back_part']);
  });

  test('where no name is free it stays, and that is said', async () => {
    lay('a.wav', 'x');
    for (let n = 2; n <= 9; n += 1) lay(`a-${n}.wav`, 'x');
    lay(draft('whole'));
    await finish();
    expect(sha256(join(spool, draft('whole')))).toBe(sha256(lay('b.wav')));
    expect(codes).toEqual(['unlinked draft_left']);
  });

  test('a draft without a byte is removed; where somebody unseen may write it, it stays', async () => {
    lay(draft('part'), '');
    await finish({ seen: false });
    expect(names()).toEqual([draft('part')]);
    expect(codes).toEqual(['unlinked draft_left']);
    await finish();
    expect(names()).toEqual([]);
  });

  test('a name elsewhere is no name: a backup of the draft does not count', async () => {
    linkSync(lay(draft('whole')), join(home, 'backup'));
    await finish();
    expect(names()).toEqual(['a.wav']);
  });
});

describe('when', () => {
  test('another agent is at work: what it holds open, or still changes, is left', async () => {
    const path = lay(draft('part'));
    const fd = openSync(path, 'a');
    const finishing = finish({ proc: '/proc' });
    await sleep(SETTLE_MS * 3);
    expect(names()).toEqual([draft('part')]);
    closeSync(fd);
    await until(() => existsSync(join(spool, 'a.wav')) || statSync(path).size === 0);
    await finishing;
    expect(names()).toEqual(['a.wav']);
  });

  test('unseen, it rests for longer; and each change begins that anew', async () => {
    lay(draft('part'), CALL.subarray(0, 1_000));
    const began = performance.now();
    const finishing = finish({ seen: false });
    await sleep(SETTLE_MS * 3);
    lay(draft('part'), CALL.subarray(0, 2_000));
    await finishing;
    expect(performance.now() - began).toBeGreaterThan(SETTLE_MS * 6.5);
    expect(statSync(join(spool, 'a.wav')).size).toBe(2_000);
  });

  test('once: by the file’s own times, and without waiting', async () => {
    const path = lay(draft('whole'));
    const soon = Date.now() / 1000 + 60;
    utimesSync(path, soon, soon);
    await finish({ once: true });
    expect(names()).toEqual([draft('whole')]);
    utimesSync(path, 0, 0);
    await sleep(SETTLE_MS + 50);
    await finish({ once: true });
    expect(names()).toEqual(['a.wav']);
  });

  test('told to stop it stops', async () => {
    lay(draft('part'));
    const finishing = finish({ seen: false });
    stop.abort();
    await finishing;
    expect(names()).toEqual([draft('part')]);
  });
});

describe('names are anybody’s', () => {
  test.each([
    ['.callvault-77-1234.part...', CALL],
    ['.callvault-77-1234.whole..', CALL],
    ['.callvault-77-1234.done.a.wav', CALL],
    ['.callvault-x-1234.part.a.wav', CALL],
    ['.callvault-77-1234.part.', CALL],
    ['.callvault-77-1234', CALL],
  ])('%s is no draft, and is left alone', async (name, bytes) => {
    lay(name, bytes);
    await finish({ recursive: true });
    expect(names()).toEqual([name]);
    expect(codes).toEqual([]);
  });

  test('links and folders by such a name are left alone, and links to folders not followed', async () => {
    const outside = join(home, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, '.callvault-77-1.whole.x.wav'), CALL);
    symlinkSync(outside, join(spool, 'link'));
    symlinkSync('/etc/passwd', join(spool, '.callvault-77-2.whole.b.wav'));
    mkdirSync(join(spool, '.callvault-77-3.whole.c.wav'));
    mkdirSync(join(spool, 'deep'));
    writeFileSync(join(spool, 'deep', '.callvault-77-4.whole.ö\n"d.wav'), CALL);
    await finish({ recursive: true });
    expect(readdirSync(outside)).toEqual(['.callvault-77-1.whole.x.wav']);
    expect(names()).toEqual(['.callvault-77-2.whole.b.wav', '.callvault-77-3.whole.c.wav', 'deep', 'link']);
    expect(readdirSync(join(spool, 'deep'))).toEqual(['ö\n"d.wav']);
  });
});
