import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCheckpointRows } from '../../../src/audit/checkpoint-rows.ts';
import { createCheckpointer } from '../../../src/audit/checkpointer.ts';
import { type AskWitness, askWitness } from '../../../src/audit/witness-client.ts';
import { createWitnessFollowers } from '../../../src/audit/witness-followers.ts';
import {
  formatNoteKey,
  keyTypes,
  type NoteKey,
  noteKey,
  parseNote,
  parseNoteKey,
  verifyNote,
} from '../../../src/core/audit/note.ts';
import { openCheckpointFolder } from '../../../src/storage/checkpoint-folder.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, type LogLine, type TestWriter } from '../../support/audit-writers.ts';
import { createTestSigner } from '../../support/checkpoints.ts';
import { until } from '../../support/child.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';
import { startWitness, type WitnessProcess } from '../../support/witness-process.ts';

/** Processes of a vault that show their checkpoints to a witness, honest or not. */
let database: TestDatabase;
let superuser: pg.Client;
let writers: ReturnType<typeof createTestWriters>;
let writer: TestWriter;
let home: string;
const signer = createTestSigner();
const closers: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  writers = createTestWriters(database);
  writer = writers.open();
  home = await mkdtemp(join(tmpdir(), 'cvw-'));
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await writers.close();
  await database.close();
  await rm(home, { recursive: true, force: true });
});

const append = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i += 1) await writer.append(freshEvent());
};

/** What one process of the vault has; `clock` moves its pauses. */
const openVault = async (key: NoteKey, url: string, ask: AskWitness = askWitness) => {
  const lines: LogLine[] = [];
  const line = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, fields, message });
  };
  const log = { info: line('info'), warn: line('warn'), error: line('error') };
  const rows = createCheckpointRows({ postgres: database.app, log });
  const places = [await openCheckpointFolder(join(home, 'checkpoints'), Date.now())];
  const clock = { at: 0 };
  const witnesses = createWitnessFollowers({
    ...{ rows, places, log, ask, witnesses: [{ key, url }] },
    now: () => clock.at,
  });
  const { verifiedHead, halt } = writer;
  const checkpointer = createCheckpointer({
    ...{ rows, signer, places, verifiedHead, halt, log, witnesses },
  });
  closers.push(() => checkpointer.close());
  const said = (text: string): number => lines.filter(({ message }) => message.includes(text)).length;
  return { ...checkpointer, clock, said };
};

const logKey = async (): Promise<string> => formatNoteKey((await signer.keys())[0]!);
const cosigned = async (): Promise<number[]> =>
  (await superuser.query('SELECT size::int FROM audit.cosignature ORDER BY size')).rows.map(
    ({ size }) => size,
  );

describe('an honest witness', () => {
  let witness: WitnessProcess;
  let key: NoteKey;
  beforeEach(async () => {
    witness = await startWitness(home, [await logKey()]);
    key = parseNoteKey(witness.key)!;
    closers.push(() => witness.stop());
  });

  test('two processes show it what they sign, and neither is taken for a liar', async () => {
    const [one, two] = [await openVault(key, witness.url), await openVault(key, witness.url)];
    for (let i = 0; i < 10; i += 1) {
      await append(3);
      await Promise.all([one.round(), two.round()]);
    }
    await until(async () => (await cosigned()).at(-1) === 30);
    expect(one.said('ALARM') + two.said('ALARM')).toBe(0);
    // The copy follows the row.
    const copy = `0000000000000030.${key.id.toString('hex')}`;
    await until(async () => (await readdir(join(home, 'checkpoints'))).includes(copy));
    const note = await readFile(join(home, 'checkpoints', copy), 'utf8');
    const keys = [...(await signer.keys()), key];
    expect(verifyNote(parseNote(note)!, keys)?.map((verified) => verified.key)).toEqual(keys);
  });

  test('killed after it remembered and before the vault heard of it: the same is cosigned again', async () => {
    const one = await openVault(key, witness.url);
    await append(2);
    await one.round();
    await until(async () => (await cosigned()).length === 1);
    await superuser.query('ALTER TABLE audit.cosignature DISABLE TRIGGER ALL');
    await superuser.query('DELETE FROM audit.cosignature');
    const two = await openVault(key, witness.url);
    await two.round();
    await until(async () => (await cosigned()).length === 1);
    expect(two.said('ALARM')).toBe(0);
  });

  test('lost its address: pauses between attempts, then all is made up for', async () => {
    const one = await openVault(key, 'http://127.0.0.1:1');
    await append(1);
    for (let i = 0; i < 5; i += 1) await one.round();
    await until(() => one.said('cannot be reached') === 1);
    const back = await openVault(key, witness.url);
    await back.round();
    await until(async () => (await cosigned()).length === 1);
    await writer.append(freshEvent());
  });
});

test('a witness that is given the key of the log late: a warning once, no alarm, and all is made up for', async () => {
  const other = formatNoteKey(noteKey('callvault.other', keyTypes.ed25519, Buffer.alloc(32, 7)));
  const early = await startWitness(home, [other]);
  const key = parseNoteKey(early.key)!;
  const one = await openVault(key, early.url);
  const rounds = async (done: () => boolean | Promise<boolean>): Promise<void> =>
    until(async () => {
      await append(1);
      await one.round();
      one.clock.at += 3_600_000;
      return done();
    });
  try {
    await rounds(() => one.said('does not know') === 1);
    for (let i = 0; i < 3; i += 1) await rounds(() => true);
  } finally {
    await early.stop();
  }
  const late = await startWitness(home, [other, await logKey()], [], new URL(early.url).host);
  closers.push(() => late.stop());
  await rounds(async () => (await cosigned()).length > 0);
  await until(() => one.said('cosigns the access log again') === 1);
  expect(one.said('does not know')).toBe(1);
  expect(one.said('ALARM')).toBe(0);
});

/** Of whom nobody has the private half. */
const nobody = noteKey('witness.example/w1', keyTypes.cosignature, Buffer.alloc(32, 7));
let server: Server;
let asked = 0;
const answering = async (answer: (response: ServerResponse) => void): Promise<string> => {
  asked = 0;
  server = createServer((request, response) => {
    asked += 1;
    request.resume().on('end', () => answer(response));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  closers.push(async () => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};
const sized = (size: string) => (response: ServerResponse) =>
  response.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end(size);

const answers: [string, (response: ServerResponse) => void, string][] = [
  ['says yes and signs nothing', (response) => response.end('ok\n'), 'cannot be reached'],
  [
    'signs with zeros',
    (response) =>
      response.end(`— ${nobody.name} ${Buffer.concat([nobody.id, Buffer.alloc(72)]).toString('base64')}\n`),
    'cannot be reached',
  ],
  [
    'answers without end',
    (response) => {
      const more = () => response.write('x'.repeat(65_536), more);
      more();
    },
    'cannot be reached',
  ],
  [
    'sends elsewhere',
    (response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
    'cannot be reached',
  ],
  ['fails', (response) => response.writeHead(500).end(), 'cannot be reached'],
  ['refuses', (response) => response.writeHead(422).end(), 'ALARM: a witness refuses'],
  ['does not know the log', (response) => response.writeHead(404).end(), 'does not know the access log yet'],
  ['does not know the key', (response) => response.writeHead(403).end(), 'does not know the access log yet'],
  ['is asked too often', (response) => response.writeHead(429).end(), 'cannot be reached'],
  ['states more than there is', sized('999999999999999\n'), 'seen more entries'],
  ['states no size', sized('many\n'), 'ALARM: a witness refuses'],
  ['states another size each time', (response) => sized(`${asked % 3}\n`)(response), ''],
];
test.each(answers)(
  'a witness that %s: said once, nothing is kept, nothing is halted',
  async (_what, answer, saying) => {
    const one = await openVault(nobody, await answering(answer));
    await append(3);
    await until(async () => {
      await one.round();
      one.clock.at += 3_600_000;
      return asked >= 3;
    });
    await one.close();
    expect(one.said('ALARM') + one.said('cannot be reached') + one.said('does not know')).toBe(
      saying === '' ? 0 : 1,
    );
    expect(one.said(saying)).toBe(saying === '' ? 0 : 1);
    expect(await cosigned()).toEqual([]);
    expect(await readdir(join(home, 'checkpoints'))).toEqual(['0000000000000003']);
    await writer.append(freshEvent());
  },
);

/** Without a limit of its own, so that whoever waits for its answer waits until the test is given up. */
const askForEver: AskWitness = async ({ url }, _request, signal) => {
  await fetch(`${url}/add-checkpoint`, { method: 'POST', signal }).catch(() => undefined);
  return { kind: 'away' };
};

test('a witness that never answers: no entry and no checkpoint waits for it, nor does the end for long', async () => {
  const one = await openVault(nobody, await answering(() => undefined), askForEver);
  await append(1);
  await one.round();
  await until(() => asked === 1);
  await append(1);
  await one.round();
  await one.close({ lastRound: true });
  expect(asked).toBe(1);
});
