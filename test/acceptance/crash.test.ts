import { randomInt } from 'node:crypto';
import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Call,
  type CareLine,
  type CareLineVault,
  newCall,
  startCareLine,
} from '../support/care-line.ts';
import { isAlive, until } from '../support/child.ts';
import { jsonOf } from '../support/http-client.ts';
import { newVaultFolder, type RunningVault, type VaultFolder } from '../support/vault.ts';
import { databaseProcesses, type Inspection, inDatabase, inspect } from '../support/vault-inspection.ts';

/** Moments of death and sizes follow from this number; CRASH_SEED repeats a run. */
const seed = Number(process.env.CRASH_SEED ?? randomInt(1, 2 ** 31));
process.stdout.write(`crash test with CRASH_SEED=${seed}\n`);
let state = seed;
/** A whole number in [from, to). */
const random = (from: number, to: number): number => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return from + Math.floor((state / 2 ** 32) * (to - from));
};

const UPLOADS = 100;
const AT_ONCE = 6;
/** Several segments of the sealed format, and one. */
const calls = Array.from({ length: UPLOADS }, () => newCall(random(1_000, 400_000)));
const callOf = new Map(calls.map((call) => [call.callId, call]));

let world: CareLineVault;
let vault: RunningVault;
let line: CareLine;
/** Call id → recording, as the vault has acknowledged it with 201 or 200. */
const acknowledged = new Map<string, string>();
/** Recordings that were heard and found right. */
const heard = new Set<string>();
/** What uploads were answered that were not taken, for the words of a failure. */
let refusals: string[] = [];

beforeAll(async () => {
  world = await startCareLine();
  ({ vault, line } = world);
  await line.nurse.token();
});
afterAll(() => world?.folder.remove());

/** What a machine that cannot keep up answers, and a telephone system takes for "again, in a moment". */
const isTooBusy = ({ status, text }: { readonly status: number; readonly text: string }): boolean =>
  status === 503 && /"code":"(overloaded|log_unavailable)"/.test(text);

/** Delivers what is not acknowledged yet, several calls at once, until all are through or refused or the vault has died. */
const deliver = async (isOver: () => boolean): Promise<void> => {
  const waiting = calls.filter(({ callId }) => !acknowledged.has(callId));
  const worker = async (): Promise<void> => {
    for (let call = waiting.shift(); call !== undefined && !isOver(); call = waiting.shift()) {
      const { callId } = call;
      const reply = await line.deliver(call).catch((error: Error) => ({ status: 0, text: String(error) }));
      if (reply.status === 201 || reply.status === 200)
        acknowledged.set(callId, (JSON.parse(reply.text) as { id: string }).id);
      else if (isTooBusy(reply)) {
        await sleep(500);
        waiting.push(call);
      } else refusals.push(`${reply.status} ${reply.text}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
};

type Found = { recordings: { id: string; callId: string }[]; next: string | null };

/** Every recording a nurse is shown. */
const found = async (): Promise<Found['recordings']> => {
  const all: Found['recordings'] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const json = { limit: 100, ...(cursor === undefined ? {} : { cursor }) };
    const reply = await line.http.post('/v1/recordings/search', { token: await line.nurse.token(), json });
    const page: Found = jsonOf<Found>(reply, 200);
    all.push(...page.recordings);
    cursor = page.next;
  }
  return all;
};

const assertNoOrphan = ({
  rows,
  endings,
  objects,
  copies,
  strays,
  drafts,
  pendingChanges,
}: Inspection): void => {
  expect({ strays, drafts, pendingChanges }).toEqual({ strays: [], drafts: [], pendingChanges: 0 });
  expect(rows.filter(({ status }) => status !== 'stored')).toEqual([]);
  expect(objects).toEqual(rows.map(({ object }) => object).sort());
  // Beside each object the copy of its envelope, and none beside nothing.
  expect(copies).toEqual(objects);
  // One ending per upload, whatever became of it; and what is there is exactly what the log calls stored.
  expect(new Set(endings.map(({ recording }) => recording)).size).toBe(endings.length);
  const inLog = endings.filter(({ action }) => action === 'recording.stored');
  const told = inLog.map(({ recording, eventId, seq }) => ({
    id: recording,
    intentId: eventId,
    storedSeq: seq,
  }));
  const kept = rows.map(({ id, intentId, storedSeq }) => ({ id, intentId, storedSeq }));
  const byId = (a: { id: string }, b: { id: string }): number => (a.id < b.id ? -1 : 1);
  expect(kept.sort(byId)).toEqual(told.sort(byId));
};

/** After a restart: nothing acknowledged is missing, nothing else is there but what the log knows, and all of it plays. */
const assertWhole = async (): Promise<void> => {
  const seen = await inspect(world.folder);
  assertNoOrphan(seen);
  const visible = await found();
  expect(visible.map(({ id }) => id).sort()).toEqual(seen.rows.map(({ id }) => id).sort());
  expect(new Set(visible.map(({ callId }) => callId)).size).toBe(visible.length);
  const idOf = new Map(visible.map(({ id, callId }) => [callId, id]));
  for (const [callId, id] of acknowledged) expect(idOf.get(callId)).toBe(id);
  for (const { id, callId } of visible) {
    if (heard.has(id)) continue;
    expect((await line.hear(id)).equals((callOf.get(callId) as Call).audio)).toBe(true);
    heard.add(id);
  }
  const { code, stdout } = await world.folder.cli('verify');
  expect(stdout).toMatch(/^ok\t/);
  expect(code).toBe(0);
};

const killAll = (pids: readonly number[]): void => {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It was a child of one that went first.
    }
};

/** A server process that serves the vault, not the postmaster. */
const oneBackend = async (): Promise<number> =>
  inDatabase(world.folder, async (client) => {
    const text = `SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;
    const { rows } = await client.query<{ pid: number }>(text);
    return rows[random(0, rows.length)]?.pid ?? 0;
  });

type Death = { readonly name: string; readonly strike: () => Promise<void> };

const deaths: readonly Death[] = [
  { name: 'the vault', strike: () => vault.kill() },
  {
    name: 'the vault and its database at once',
    strike: async () => {
      killAll([vault.pid, ...(await databaseProcesses(world.folder))]);
      await vault.exited;
    },
  },
  {
    name: 'the database; the vault ends by itself and says so',
    strike: async () => {
      killAll(await databaseProcesses(world.folder));
      expect(await vault.exited).toBe(3);
      expect(vault.output()).toContain('the vault cannot go on');
    },
  },
  {
    name: 'one process of the database; the vault goes on, and is killed later',
    strike: async () => {
      killAll([await oneBackend()]);
      await sleep(random(100, 1_500));
      expect(isAlive(vault.pid)).toBe(true);
      await vault.kill();
    },
  },
];

describe('SIGKILL during a hundred uploads, at any moment', () => {
  for (let round = 0; round < 8; round += 1) {
    const { name, strike } = deaths[round % deaths.length] as Death;
    // Twice while the start puts right what the death before has left.
    const brokenStarts = round % 4 === 1 ? 2 : 0;
    test(`round ${round + 1}: ${name}${brokenStarts > 0 ? ', and again while it starts' : ''}`, async () => {
      let dead = false;
      let through = false;
      refusals = [];
      const enough = acknowledged.size + random(2, 12);
      const delivering = deliver(() => dead).then(() => {
        through = true;
      });
      // Some calls are through and others on their way, whatever the machine's speed; from there any moment.
      await until(() => through || acknowledged.size >= enough);
      expect(refusals).toEqual([]);
      await sleep(random(0, 60));
      await strike();
      dead = true;
      await delivering;
      for (let start = 0; start < brokenStarts; start += 1) await startAndDie(random(200, 1_200));
      vault = await world.folder.start();
      await assertWhole();
    });
  }

  test('and in the end all hundred are there', async () => {
    await deliver(() => false);
    expect(acknowledged.size).toBe(UPLOADS);
    await assertWhole();
    expect(heard.size).toBe(UPLOADS);
    // The deaths did meet uploads halfway: what they left was told in the log and removed.
    const { endings } = await inspect(world.folder);
    expect(endings.some(({ action }) => action === 'recording.abandoned')).toBe(true);
  });
});

/** Starts the vault and kills it after so many milliseconds, whether it listens by then or not. */
const startAndDie = async (afterMs: number, folder = world.folder): Promise<void> => {
  const wrapper = ['timeout', '--foreground', '--signal=KILL', String(afterMs / 1000)];
  const started = await folder.start({}, wrapper).catch(() => null);
  await started?.exited;
};

/** Drafts of keys are somebody's work for an hour, and what is left of it then. */
const letAnHourPass = async ({ keysDir }: VaultFolder): Promise<void> => {
  const before = new Date(Date.now() - 2 * 3_600_000);
  for (const name of await readdir(keysDir, { recursive: true }).catch(() => []))
    if (/(^|\/)\.new-/.test(name)) await utimes(join(keysDir, name), before, before);
};

test('SIGKILL at any moment of the first start leaves nothing that keeps the next from starting', async () => {
  const folder = await newVaultFolder();
  try {
    for (let moment = 300; moment < 2_600; moment += random(300, 600)) await startAndDie(moment, folder);
    await letAnHourPass(folder);
    const first = await folder.start();
    expect((await folder.cli('verify')).code).toBe(0);
    assertNoOrphan(await inspect(folder));
    expect(await first.stop()).toBe(0);
    await until(async () => (await databaseProcesses(folder)).length === 0);
  } finally {
    await folder.remove();
  }
});
