import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { createLiveCall, type LiveCall, type Patience } from '../../src/http/live-call.ts';

/** What ends a call by time, in a fraction of the time, over real connections. */
const PATIENCE = { openingMs: 800, lookMs: 800, quietMs: 2_400 };
let server: WebSocketServer;
let client: WebSocket;
let live: LiveCall;
let known: () => Promise<boolean>;

const connect = async (patience: Patience = PATIENCE): Promise<void> => {
  known = async () => true;
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const connected = once(server, 'connection');
  client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const [socket] = (await connected) as [WebSocket];
  live = createLiveCall(socket, { maxBytes: 1e6, isStillKnown: () => known(), patience });
  if (client.readyState !== client.OPEN) await once(client, 'open');
};
const hangUp = async (): Promise<void> => {
  client.terminate();
  server.close();
  await once(server, 'close');
};
beforeEach(() => connect());
afterEach(hangUp);

const heard = async (): Promise<number> => {
  let bytes = 0;
  for await (const chunk of live.sound) bytes += chunk.length;
  return bytes;
};
const begin = async (): Promise<void> => {
  client.send('{}');
  expect((await live.opening()).toString()).toBe('{}');
};
/** Sends so much every 50 ms, until the end of the test. */
const keepSending = (bytes: number): void => {
  const timer = setInterval(() => client.readyState === client.OPEN && client.send(Buffer.alloc(bytes)), 50);
  client.once('close', () => clearInterval(timer));
};

test('nothing comes: the first frame is not waited for any longer', async () => {
  await expect(live.opening()).rejects.toMatchObject({ code: 'request_timeout' });
});

test('a byte now and then is not a call: it ends as cut, with what came', async () => {
  await begin();
  keepSending(1);
  expect(await heard()).toBeGreaterThan(3);
  expect(live.isCut()).toBe(true);
});

test('keys pressed for ever are no sound', async () => {
  await begin();
  const timer = setInterval(() => client.send('{"event":"dtmf"}'), 20);
  expect(await heard()).toBe(0);
  clearInterval(timer);
});

test('a live call goes on for as long as it brings sound', async () => {
  await begin();
  keepSending(1600);
  const counted = heard();
  await sleep(4 * PATIENCE.quietMs);
  client.close(1000);
  expect(await counted).toBeGreaterThan(40_000);
  expect(live.isCut()).toBe(false);
});

test('no answer to a ping: gone, long before it is found to be too quiet', async () => {
  await hangUp();
  await connect({ ...PATIENCE, quietMs: 600_000 });
  await begin();
  const closed = once(server.clients.values().next().value as WebSocket, 'close');
  // It reads nothing any more, and so answers nothing.
  client.pause();
  expect(await heard()).toBe(0);
  expect(live.isCut()).toBe(true);
  // Nobody is there to be told.
  expect((await closed)[0]).toBe(1006);
});

test('a sender who is not known any more is cut off; one whom nobody can look up now is not', async () => {
  await begin();
  keepSending(1600);
  known = () => Promise.reject(new Error('the database is away'));
  const counted = heard();
  await sleep(2 * PATIENCE.lookMs);
  let over = false;
  void counted.then(() => (over = true));
  await sleep(50);
  expect(over).toBe(false);
  known = async () => false;
  // Within a look or two, and not at last for its length, which is a million.
  expect(await counted).toBeLessThan(500_000);
});

test('the close is answered by whoever has stored the call, and not before', async () => {
  await begin();
  const closed = once(client, 'close');
  client.close(1000);
  expect(await heard()).toBe(0);
  expect(await Promise.race([closed, sleep(300, 'waits')])).toBe('waits');
  live.close('stored');
  const [code, reason] = (await closed) as [number, Buffer];
  expect([code, reason.toString()]).toEqual([1000, 'stored']);
});

test('what our storage cannot take yet is not read: the sender is held up, and is not taken for gone', async () => {
  await begin();
  for (let n = 0; n < 200; n += 1) client.send(Buffer.alloc(200_000));
  await sleep(1_000);
  expect(client.bufferedAmount).toBeGreaterThan(20_000_000);
  client.close(1000);
  // No more than a recording may have is kept.
  expect(await heard()).toBe(1e6);
  expect(live.isCut()).toBe(true);
});
