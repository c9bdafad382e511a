import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMetadataOf } from '../../src/agent/call-metadata.ts';
import type { Delivery } from '../../src/agent/delivery.ts';
import type { Upload } from '../../src/agent/vault-client.ts';
import { createWatch } from '../../src/agent/watch-folder.ts';
import type { WatchEvent } from '../../src/agent/watch-options.ts';
import { SILENT_TIMES } from '../../src/agent/watch-rest.ts';
import { openWatchState } from '../../src/agent/watch-state.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';

/** `watch` where it does not see who writes: recordings that go on after they were taken for finished. */
const REST_MS = 300;
const SILENT_MS = REST_MS * SILENT_TIMES;
let home: string;
let spool: string;
let taken: { readonly bytes: Buffer; readonly metadata: Upload['metadata'] }[];
let events: WatchEvent[];
let answer: (count: number) => Delivery | null;
let stop: AbortController;
let running: Promise<void>;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'cvu-'));
  spool = join(home, 'spool');
  mkdirSync(spool);
  mkdirSync(join(home, 'proc'));
  [taken, events] = [[], []];
  answer = () => null;
  stop = new AbortController();
  running = Promise.resolve();
});
afterEach(async () => {
  stop.abort();
  await running;
  rmSync(home, { recursive: true });
});

/** `proc`: a folder where not even the first process is seen, or that of the first process alone. */
const start = async (given: { readonly seen?: boolean; readonly once?: boolean } = {}) => {
  if (given.seen === true) mkdirSync(join(home, 'proc', '1', 'fd'), { recursive: true });
  const watching = createWatch({
    client: {
      async upload(upload) {
        const bytes = await buffer(upload.open());
        taken.push({ bytes, metadata: upload.metadata });
        return answer(taken.length) ?? { outcome: 'stored', id: randomUUID(), created: true };
      },
    },
    root: Buffer.from(spool),
    recursive: false,
    all: false,
    keep: false,
    withSide: false,
    intervalMs: 50,
    unseenRestMs: REST_MS,
    proc: join(home, 'proc'),
    concurrency: 2,
    pauses: { firstMs: 20, ceilingMs: 20 },
    metadataOf: createMetadataOf({ timeZone: 'UTC', root: Buffer.from(spool), said: {} }),
    sides: { renames: new Map(), timeZone: 'UTC', direction: undefined },
    state: await openWatchState(null),
    onEvent: (event) => events.push(event),
  });
  running = watching.run(stop.signal, new AbortController().signal, given.once);
  return watching;
};
const troubles = (): unknown[] =>
  events.flatMap((event) => (event.event === 'trouble' ? [`${event.what} ${event.code}`] : []));
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const recorder = (name: string, first: Buffer) => {
  const path = join(spool, name);
  const fd = openSync(path, 'w');
  writeSync(fd, first);
  return { path, write: (bytes: Buffer) => void writeSync(fd, bytes), close: () => closeSync(fd) };
};
const CALL = generatedCall(3, 7_001);

test('a header, and for a long time no sound: it is not taken', async () => {
  const { path, write, close } = recorder('a.wav', CALL.subarray(0, 44));
  await start();
  await sleep(SILENT_MS / 4);
  expect([taken, existsSync(path)]).toEqual([[], true]);
  write(CALL.subarray(44));
  close();
  await until(() => !existsSync(path));
  expect(taken.map(({ bytes }) => sha256(bytes))).toEqual([sha256(CALL)]);
  expect(events[0]).toEqual({ event: 'unseen', restMs: REST_MS, silentRestMs: SILENT_MS });
  expect(events.filter(({ event }) => event === 'unseen')).toHaveLength(1);
});

test('where everybody is seen, nothing waits and nothing is said', async () => {
  writeFileSync(join(spool, 'a.wav'), CALL.subarray(0, 44));
  const watching = await start({ seen: true });
  await until(() => watching.totals().removed === 1);
  expect(events.map(({ event }) => event)).toEqual(['stored']);
});

test('one that goes on after its removal is delivered whole, with what its side file said', async () => {
  const { path, write, close } = recorder('a.wav', CALL.subarray(0, 20_000));
  writeFileSync(join(spool, 'a.wav.json'), JSON.stringify({ callId: 'call-7', queue: 'advice' }));
  await start();
  await until(() => !existsSync(path));
  expect(existsSync(join(spool, 'a.wav.json'))).toBe(false);
  write(CALL.subarray(20_000));
  await until(() => taken.length === 2);
  close();
  await until(() => events.filter(({ event }) => event === 'stored').length === 2);
  expect(sha256(taken[1]?.bytes as Buffer)).toBe(sha256(CALL));
  for (const { metadata } of taken) expect(metadata).toMatchObject({ callId: 'call-7', queue: 'advice' });
  expect(taken[0]?.metadata.deliveryId).not.toBe(taken[1]?.metadata.deliveryId);
  expect(troubles()).toEqual(['unlinked written']);
  expect(readdirSync(spool)).toEqual([]);
});

test('one that goes on and on is delivered when it has rested, as often as it takes', async () => {
  const { path, write, close } = recorder('a.wav', CALL.subarray(0, 20_000));
  await start();
  await until(() => !existsSync(path));
  for (let at = 20_000; at < CALL.length; at += 4_000) {
    write(CALL.subarray(at, at + 4_000));
    await sleep(REST_MS / 4);
  }
  close();
  await until(() => taken.length >= 2 && taken.at(-1)?.bytes.length === CALL.length);
  expect(sha256(taken.at(-1)?.bytes as Buffer)).toBe(sha256(CALL));
});

test('the agent ends: what went on is delivered before', async () => {
  const { path, write, close } = recorder('a.wav', CALL.subarray(0, 20_000));
  await start();
  await until(() => !existsSync(path));
  write(CALL.subarray(20_000));
  stop.abort();
  await running;
  close();
  expect(taken.map(({ bytes }) => sha256(bytes)).at(-1)).toBe(sha256(CALL));
  expect(events.filter(({ event }) => event === 'stored')).toHaveLength(2);
});

test.each<[string, Delivery]>([
  [
    'the vault does not answer',
    { outcome: 'later', code: 'unreachable', reason: '', retryAfter: null, stopped: false },
  ],
  ['the vault refuses it', { outcome: 'refused', code: 'refused_content', reason: '' }],
])(
  '%s when the agent ends: it lies in the folder again, with its side file, and over nothing',
  async (_, said) => {
    const { path, write, close } = recorder('a.wav', CALL.subarray(0, 20_000));
    writeFileSync(join(spool, 'a.wav.json'), '{"callId":"call-8"}');
    answer = (count) => (count === 1 ? null : said);
    await start();
    await until(() => !existsSync(path));
    writeFileSync(path, 'another');
    write(CALL.subarray(20_000));
    stop.abort();
    await running;
    close();
    expect(readdirSync(spool).toSorted()).toEqual(['a-2.wav', 'a.wav', 'a.wav.json']);
    expect(sha256(readFileSync(join(spool, 'a-2.wav')))).toBe(sha256(CALL));
    expect(readFileSync(path, 'utf8')).toBe('another');
    expect(troubles()).toEqual(['unlinked written', 'unlinked put_back']);
  },
);

test('where no name is free when the agent ends, the whole of it is kept as a draft, and that is said', async () => {
  const { path, write, close } = recorder('a.wav', CALL.subarray(0, 20_000));
  answer = (count) =>
    count === 1
      ? null
      : { outcome: 'later', code: 'unreachable', reason: '', retryAfter: null, stopped: false };
  await start();
  await until(() => !existsSync(path));
  write(CALL.subarray(20_000));
  stop.abort();
  const names = ['a.wav', ...Array.from({ length: 8 }, (_, n) => `a-${n + 2}.wav`)];
  for (const name of names) writeFileSync(join(spool, name), 'another');
  await running;
  close();
  expect(troubles()).toEqual(['unlinked written', 'unlinked draft_left']);
  const left = readdirSync(spool).filter((name) => !names.includes(name));
  expect(left).toEqual([expect.stringMatching(/^\.callvault-\d+-\d+\.whole\.a\.wav$/)]);
  expect(sha256(readFileSync(join(spool, left[0] as string)))).toBe(sha256(CALL));
});

test('what an agent that was killed had begun to put back is finished at the start, and delivered', async () => {
  writeFileSync(join(spool, '.callvault-77-1234.whole.a.wav'), CALL);
  await start({ seen: true });
  await until(() => taken.length === 1 && readdirSync(spool).length === 0);
  expect(sha256((taken[0] as { bytes: Buffer }).bytes)).toBe(sha256(CALL));
  expect(taken[0]?.metadata.originalName).toBe('a.wav');
  expect(troubles()).toEqual(['unlinked put_back']);
});

test('one that nobody writes to is let go: no descriptor, and no room on the disk, for longer than a rest', async () => {
  const held = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${spool}/`);
      } catch {
        return false;
      }
    }).length;
  for (let n = 0; n < 80; n += 1) writeFileSync(join(spool, `${n}.wav`), generatedCall(2, 7_100 + n));
  await start();
  await until(() => taken.length === 80 && readdirSync(spool).length === 0);
  expect(held()).toBeLessThanOrEqual(66);
  await until(() => held() === 0);
  expect(troubles()).toEqual([]);
});

test('once: what was written just now stays for another time, and that is no end', async () => {
  writeFileSync(join(spool, 'a.wav'), CALL);
  const watching = await start({ once: true });
  await running;
  expect(watching.totals()).toMatchObject({ stored: 0, waiting: 1 });
  await sleep(REST_MS);
  const again = await start({ once: true });
  await running;
  expect(again.totals()).toMatchObject({ stored: 1, removed: 1, waiting: 0 });
});
