import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serverProcesses } from '../../src/storage/postgres-leftovers.ts';
import { type Call, type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { isAlive, until } from '../support/child.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { openingFrame, openLive } from '../support/live-sender.ts';
import { startTestDatabase, type TestDatabase } from '../support/postgres.ts';
import { readSlowly } from '../support/slow-clients.ts';
import {
  expectAnswers,
  expectNothing,
  expectNothingOf,
  type Known,
  makeKnown,
  waysThatNeedAnEntry,
  waysToListen,
} from '../support/ways-to-hear.ts';

let db: TestDatabase;
let world: CareLineVault;
let known: Known;

beforeAll(async () => {
  db = await startTestDatabase();
  const { user, password, host, database } = db.app;
  world = await startCareLine({
    DATABASE_URL: `postgresql://${user}:${password}@/${database}?host=${encodeURIComponent(host)}`,
  });
  known = await makeKnown(world.line, newCall(200_000));
});
afterAll(async () => {
  await world?.folder.remove();
  await db?.close();
});

const ready = async (): Promise<boolean> => (await world.line.http.get('/readyz')).status === 200;
const needEntry = () => waysThatNeedAnEntry(world.line, known);
const listen = () => waysToListen(world.line, known);

/** Recordings of this call that a nurse is shown. */
const found = async ({ callId }: Call): Promise<readonly { id: string }[]> => {
  const asked = { token: await world.line.nurse.token(), json: { callId } };
  return jsonOf<{ recordings: { id: string }[] }>(
    await world.line.http.post('/v1/recordings/search', asked),
    200,
  ).recordings;
};

/** As a telephone system does it: again and again until it is taken. */
const deliverUntilTaken = async (call: Call): Promise<string> => {
  let reply: Reply | undefined;
  await until(async () => {
    reply = await world.line.deliver(call);
    return reply.status === 201 || reply.status === 200;
  });
  return jsonOf<{ id: string }>(reply as Reply).id;
};

const works = async (): Promise<boolean> => {
  const asked = { token: await world.line.nurse.token(), json: {} };
  return (await world.line.http.post('/v1/recordings/search', asked)).status === 200;
};

/** The vault that was started is still the one that answers; the call that was refused is nowhere, and is taken now. */
const expectRecovery = async (refused: Call): Promise<void> => {
  await until(works);
  expect(isAlive(world.vault.pid)).toBe(true);
  expect(await found(refused)).toEqual([]);
  await expectAnswers({ ...needEntry(), ...listen() });
  const id = await deliverUntilTaken(refused);
  expect((await found(refused)).map((one) => one.id)).toEqual([id]);
  expect((await world.line.hear(id)).equals(refused.audio)).toBe(true);
  await until(ready);
};

/** An answer of several parts that was under way is cut before the next one. */
const cutOrThrow = (error: Error): null => {
  if (error.message !== 'aborted') throw error;
  return null;
};

/** Whatever is asked is answered, cut while it flows, or refused with nothing. */
const expectAllOrNothing = async (ways: readonly (() => Promise<Reply>)[]): Promise<void> => {
  for (const reply of await Promise.all(ways.map((ask) => ask().catch(cutOrThrow))))
    if (reply !== null && reply.status >= 400) expectNothing(reply, known.audio, 503);
};

const group = (): string => `callvault_app_${db.app.database}`;
const APPEND = 'FUNCTION audit.append(text, bigint, bytea[], text[])';

test('with everything in order all of it is answered', async () => {
  await expectAnswers({ ...needEntry(), ...listen() });
});

describe('PDL-3, ASVS 16.5.3 no log, no sound: EXECUTE on the append function revoked', () => {
  let superuser: pg.Client;
  beforeAll(async () => {
    superuser = await db.connect('superuser');
  });
  afterAll(() => superuser?.end());
  const revoke = () => superuser.query(`REVOKE EXECUTE ON ${APPEND} FROM ${group()}`);
  const grant = () => superuser.query(`GRANT EXECUTE ON ${APPEND} TO ${group()}`);

  test('nothing is heard or shown, also of playbacks that are open; uploads are refused, and it heals', async () => {
    const refused = newCall(100_000);
    await revoke();
    await expectNothingOf(needEntry(), known.audio, 503);
    await expectNothingOf(listen(), known.audio, 503);
    expectNothing(await world.line.deliver(refused), refused.audio, 503);
    await until(async () => !(await ready()));
    await expectNothingOf(listen(), known.audio, 503);
    await grant();
    await expectRecovery(refused);
  });

  test('a live call whose end cannot be logged is not acknowledged, and no trace of it is shown', async () => {
    const call = newCall(100_000);
    const dial = () => openLive(world.vault.url, { apiKey: world.line.apiKey });
    const [begun, late] = [await dial(), await dial()];
    const opening = openingFrame({ callSid: call.callId });
    begun.say(opening);
    await begun.sound(call.audio);
    await until(async () => {
      const { rows } = await superuser.query('SELECT FROM recording WHERE status = $1', ['intent']);
      return rows.length === 1;
    });
    await revoke();
    expect(await begun.hangUp()).toEqual({ code: 1011, reason: 'log_unavailable' });
    late.say(opening);
    expect(await late.closed).toEqual({ code: 1011, reason: 'log_unavailable' });
    await grant();
    await expectRecovery(call);
  });

  test('nobody asks for an entry, one only goes on listening: his next piece after five seconds is refused', async () => {
    // An entry just now: the log is known to work, and will be believed for as long as anything is.
    expect(await works()).toBe(true);
    await expectAnswers(listen());
    await revoke();
    const from = performance.now();
    await until(async () => Object.values(listen())[0]?.().then(({ status }) => status === 503) ?? false);
    // To the second it is in test/unit/audit/appendable.test.ts.
    expect(performance.now() - from).toBeLessThan(30_000);
    await expectNothingOf(listen(), known.audio, 503);
    await grant();
    // By itself, though nobody writes an entry.
    await until(async () => (await Object.values(listen())[0]?.())?.status === 206);
    await expectAnswers(listen());
  });

  test('an answer that is flowing is cut', async () => {
    const long = await world.line.store(newCall(12_000_000));
    const client = { url: world.vault.url, token: await world.line.nurse.token() };
    const flowing = readSlowly(client, await world.line.openPlayback(long), 3_000_000).then(
      (bytes) => `${bytes} bytes`,
      (error: Error) => error.message,
    );
    await revoke();
    expect(await flowing).toMatch(/aborted|terminated|hang up/);
    await grant();
    await until(works);
  });
});

describe('PDL-3, ASVS 16.5.3 no log, no sound: the database server', () => {
  test('stopped and started again: not a byte in between, and it heals', async () => {
    const refused = newCall(100_000);
    await db.stopServer('fast');
    await expectNothingOf({ ...needEntry(), ...listen() }, known.audio, 503);
    expectNothing(await world.line.deliver(refused), refused.audio, 503);
    await until(async () => !(await ready()));
    await db.startServer();
    await expectRecovery(refused);
  });

  test('killed in the middle of everything', async () => {
    const refused = newCall(100_000);
    const ways = Object.values({ ...needEntry(), ...listen() });
    const asked = expectAllOrNothing(Array.from({ length: 20 }, () => ways).flat());
    await db.stopServer('kill');
    await asked;
    await expectNothingOf({ ...needEntry(), ...listen() }, known.audio, 503);
    expectNothing(await world.line.deliver(refused), refused.audio, 503);
    await db.startServer();
    await expectRecovery(refused);
  });

  test('frozen: every request is given up, and answered when it thaws', async () => {
    const refused = newCall(100_000);
    const frozen = await serverProcesses(db.clusterDir);
    for (const pid of frozen) process.kill(pid, 'SIGSTOP');
    try {
      const upload = world.line.deliver(refused);
      await expectNothingOf({ ...needEntry(), ...listen() }, known.audio, 503);
      expectNothing(await upload, refused.audio, 503);
      expect(await ready()).toBe(false);
    } finally {
      for (const pid of frozen) process.kill(pid, 'SIGCONT');
    }
    await until(ready);
    await expectAnswers({ ...needEntry(), ...listen() });
    await deliverUntilTaken(refused);
    expect(await found(refused)).toHaveLength(1);
  });

  test('only its process that writes the log frozen, in the middle of an upload: the vault takes another', async () => {
    const call = newCall(100_000);
    const superuser = await db.connect('superuser');
    const { rows } = await superuser.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'callvault log serve%'`,
    );
    const [writer] = rows as [{ pid: number }];
    process.kill(writer.pid, 'SIGSTOP');
    try {
      const upload = world.line.deliver(call);
      await expectAllOrNothing(Object.values(needEntry()));
      if ((await upload).status !== 201) expectNothing(await upload, call.audio, 503);
    } finally {
      process.kill(writer.pid, 'SIGCONT');
    }
    // Nobody knows what the frozen one still commits: the log decides, and in the end there is one recording.
    const id = await deliverUntilTaken(call);
    expect((await found(call)).map((one) => one.id)).toEqual([id]);
    expect((await world.line.hear(id)).equals(call.audio)).toBe(true);
    await expectAnswers({ ...needEntry(), ...listen() });
  });
});

test('after all of it the log verifies, and everything stored plays', async () => {
  const { code, stdout } = await world.folder.cli('verify');
  expect(stdout).toMatch(/^ok\t/);
  expect(code).toBe(0);
  expect((await world.line.hear(known.recording)).equals(known.audio)).toBe(true);
});
