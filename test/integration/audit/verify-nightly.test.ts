import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { verifyLiveAlone } from '../../../src/audit/live-verify.ts';
import type { Verdict } from '../../../src/core/audit/verify.ts';
import { createMetrics } from '../../../src/http/plugins/metrics.ts';
import { createReadiness } from '../../../src/services/readiness.ts';
import { createRecordVerification } from '../../../src/services/record-verification.ts';
import { createVerifyNightly, latestHour } from '../../../src/services/verify-nightly.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestWriters, type TestWriter } from '../../support/audit-writers.ts';
import { guardsOff, guardsOn } from '../../support/guards.ts';
import { startTestDatabase, type TestDatabase } from '../../support/postgres.ts';

/** The verification that the service makes by itself, by a clock that the test turns. */
const evening = new Date(2026, 10, 20, 21, 0).getTime();
const night = new Date(2026, 10, 21, 3, 5).getTime();
const nextNight = new Date(2026, 10, 22, 3, 5).getTime();
const never = new AbortController().signal;

let database: TestDatabase;
let superuser: pg.Client;
let writers: ReturnType<typeof createTestWriters>;
let writer: TestWriter;
let clock: number;
let alarms: Verdict[];
beforeEach(async () => {
  database = await startTestDatabase();
  superuser = await database.connect('superuser');
  writers = createTestWriters(database);
  writer = writers.open({ batchEvents: 50 });
  clock = evening;
  alarms = [];
  await writer.append(freshEvent({ action: 'installation.created', at: evening, organisation: null }));
  await Promise.all(Array.from({ length: 600 }, () => writer.append(freshEvent({ at: evening }))));
});
afterEach(async () => {
  await writers.close();
  await database.close();
});

/** One process of the vault. */
const process = ({
  pause = async () => undefined,
  since = evening,
}: {
  pause?: () => Promise<void>;
  since?: number | null;
} = {}) => {
  const now = (): number => clock;
  return createVerifyNightly({
    verify: (options) => verifyLiveAlone({ postgres: database.app, pageEntries: 100, pause, ...options }),
    audit: writer,
    log: writer,
    record: createRecordVerification({ audit: writer, now }),
    alarm: (verdict) => alarms.push(verdict),
    atHour: 3,
    now,
    since,
  });
};

const entries = async (): Promise<object[]> =>
  (
    await superuser.query(
      `SELECT body::jsonb #>> '{actor,type}' AS by, (facts).outcome AS outcome, body::jsonb -> 'detail' AS detail
         FROM audit.entry WHERE (facts).action = 'log.verified' ORDER BY seq`,
    )
  ).rows;

const tamper = async (): Promise<void> => {
  await guardsOff(superuser);
  await superuser.query(`UPDATE audit.entry SET body = replace(body, 'success', 'denied') WHERE seq = 70`);
  await guardsOn(superuser);
};

describe('when it is time', () => {
  test.each([
    ['before the hour', new Date(2026, 10, 21, 2, 59, 59), new Date(2026, 10, 20, 3, 0)],
    ['at the hour', new Date(2026, 10, 21, 3, 0), new Date(2026, 10, 21, 3, 0)],
    ['after it', new Date(2026, 10, 21, 23, 59), new Date(2026, 10, 21, 3, 0)],
    ['over the end of a month', new Date(2026, 11, 1, 1, 0), new Date(2026, 10, 30, 3, 0)],
  ])('%s', (_, now, wanted) => {
    expect(latestHour(now.getTime(), 3)).toBe(wanted.getTime());
  });

  test('not before the first night, then once, and again the next night', async () => {
    const vault = process();
    expect(await vault.whenDue(never)).toBeNull();
    clock = night;
    expect(await vault.whenDue(never)).toMatchObject({ ok: true, size: 601, faults: [] });
    expect(await vault.whenDue(never)).toBeNull();
    clock = nextNight - 3_600_000;
    expect(await vault.whenDue(never)).toBeNull();
    clock = nextNight;
    expect(await vault.whenDue(never)).toMatchObject({ ok: true, size: 602 });
    expect(await entries()).toEqual([
      { by: 'system', outcome: 'success', detail: { size: 601, ok: true } },
      { by: 'system', outcome: 'success', detail: { size: 602, ok: true } },
    ]);
  });

  test('another process, and one that was started again, leave it at that; an operator\u2019s own does not count', async () => {
    clock = night;
    const record = createRecordVerification({ audit: writer, now: () => clock });
    await record({ size: 601, ok: true });
    expect(await process().whenDue(never)).toMatchObject({ ok: true });
    expect(await process().whenDue(never)).toBeNull();
  });

  test('two at once: one does it, the other has nothing to do', async () => {
    clock = night;
    const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
    const both = await Promise.all([0, 1].map(() => process({ pause }).whenDue(never)));
    expect(both.filter((verdict) => verdict !== null)).toHaveLength(1);
    expect(await entries()).toHaveLength(1);
  });

  test('appends go on meanwhile, progress is told, and it rests between pages', async () => {
    clock = night;
    const seen: unknown[] = [];
    const vault = process({
      pause: async () => {
        seen.push(vault.status().running);
        await writer.append(freshEvent());
      },
    });
    expect(await vault.whenDue(never)).toMatchObject({ ok: true, size: 601 });
    expect(seen).toEqual([100, 200, 300, 400, 500, 600, 601].map((done) => ({ done, of: 601 })));
    expect(vault.status()).toEqual({ running: null, last: { at: night, ok: true, size: 601 } });
  });

  test('called off, or without a database: no verdict, and still due', async () => {
    clock = night;
    const reason = new Error('closing');
    await expect(process().whenDue(AbortSignal.abort(reason))).rejects.toBe(reason);
    await database.stopServer('immediate');
    await expect(process().whenDue(never)).rejects.toMatchObject({ code: 'log_unavailable' });
    await database.startServer();
    superuser = await database.connect('superuser');
    expect(await entries()).toEqual([]);
  });
});

describe('the newest verification', () => {
  const DAY = 86_400_000;
  const record = (result: { size: number; ok: boolean }) =>
    createRecordVerification({ audit: writer, now: () => clock })(result);

  test('is the vault’s or an operator’s, whichever ended later, in whichever process', async () => {
    expect(await process().latest()).toBeNull();
    clock = night;
    const vault = process();
    await vault.whenDue(never);
    const found = { at: night, ok: true, size: 601, by: 'system' };
    expect([await vault.latest(), await process({ since: null }).latest()]).toEqual([found, found]);
    clock = night + 1;
    await record({ size: 602, ok: false });
    const byHand = { at: night + 1, ok: false, size: 602, by: 'operator' };
    expect([await vault.latest(), await process().latest()]).toEqual([byHand, byHand]);
    await expect(vault.fault()).rejects.toMatchObject({ code: 'integrity_failure' });
    clock = night + 2;
    await record({ size: 603, ok: true });
    expect(await vault.fault()).toBeNull();
  });

  test('is old after three days in which the vault was up for long enough to make another', async () => {
    clock = night;
    await process().whenDue(never);
    clock = night + 3 * DAY;
    expect(await process().fault()).toBeNull();
    clock += 1;
    expect(await process().fault()).toBe('old');
    // Off for days, and started six hours ago at the most: it may still be at it. A command verifies nothing by itself.
    expect(await process({ since: clock - 6 * 3_600_000 }).fault()).toBeNull();
    expect(await process({ since: clock - 6 * 3_600_000 - 1 }).fault()).toBe('old');
    expect(await process({ since: null }).fault()).toBeNull();
    await record({ size: 602, ok: true });
    expect(await process().fault()).toBeNull();
  });

  test('there was none since the log began', async () => {
    clock = evening + 3 * DAY;
    expect(await process().fault()).toBeNull();
    clock += 1;
    expect(await process().fault()).toBe('old');
  });

  test('an operator’s own does not take back what a night found', async () => {
    await tamper();
    clock = night;
    const vault = process();
    await vault.whenDue(never);
    clock = night + 1;
    await record({ size: 601, ok: true });
    for (const one of [vault, process()])
      await expect(one.fault()).rejects.toMatchObject({ code: 'integrity_failure' });
  });
});

describe('H-5 a fault', () => {
  const readinessOf = (vault: ReturnType<typeof process>) =>
    createReadiness({
      checks: [{ name: 'verification', run: () => vault.fault(), advisory: true }],
      rooms: [],
      now: () => clock,
      tell: () => undefined,
    });

  test('is an alarm, an entry, a metric and a finding; the vault works all the same', async () => {
    const vault = process();
    const found = { name: 'verification', fault: 'integrity_failure', advisory: true };
    expect((await readinessOf(vault).current()).findings).not.toContainEqual(found);
    await tamper();
    clock = night;
    expect(await vault.whenDue(never)).toMatchObject({ ok: false, faults: [{ kind: 'body', index: 70 }] });
    expect(alarms).toHaveLength(1);
    expect(await entries()).toEqual([{ by: 'system', outcome: 'failed', detail: { size: 601, ok: false } }]);
    for (const one of [vault, process()]) {
      const { ready, findings } = await readinessOf(one).current();
      expect(ready).toBe(true);
      expect(findings).toContainEqual(found);
    }
    const metrics = createMetrics(readinessOf(vault), vault.status);
    const text = await metrics.registry.metrics();
    expect(text).toContain('callvault_log_verified 0');
    expect(text).toContain('callvault_log_verified_entries 601');
    expect(text).toContain('callvault_ready{part="verification"} 0');
    expect(await writer.append(freshEvent())).toMatchObject({ seq: 602 });
  });

  test('a guard that was switched off is one too, though every row is what it was', async () => {
    await superuser.query('ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY');
    await superuser.query('CREATE POLICY all_of_them ON audit.entry FOR SELECT USING (true)');
    clock = night;
    const found = { ok: false, size: 601, faults: [{ kind: 'guard' }, { kind: 'guard' }] };
    expect(await process().whenDue(never)).toMatchObject(found);
    expect(alarms).toMatchObject([found]);
    expect(await entries()).toEqual([{ by: 'system', outcome: 'failed', detail: { size: 601, ok: false } }]);
  });

  test('a log that takes no entry: the alarm is raised all the same, once a night', async () => {
    await tamper();
    await superuser.query(
      'REVOKE EXECUTE ON FUNCTION audit.append(text, bigint, bytea[], text[]) FROM callvault_app_callvault',
    );
    clock = night;
    const vault = process();
    expect(await vault.whenDue(never)).toMatchObject({ ok: false });
    expect(await vault.whenDue(never)).toBeNull();
    expect(alarms).toHaveLength(1);
    await expect(vault.assertSound()).rejects.toMatchObject({ code: 'integrity_failure' });
  });
});

describe('H-5 what a process and a night know', () => {
  test('a tail that was cut off: the process knows how long the log was', async () => {
    await superuser.query('BEGIN');
    for (const table of ['entry', 'leaf', 'batch']) {
      await superuser.query(`ALTER TABLE audit.${table} DISABLE TRIGGER USER`);
      const place = table === 'batch' ? 'first_seq' : 'seq';
      await superuser.query(
        `DELETE FROM audit.${table} WHERE ${place} >= (SELECT max(first_seq) FROM audit.batch)`,
      );
    }
    await superuser.query('COMMIT');
    clock = night;
    expect((await process().whenDue(never))?.ok).toBe(false);
  });

  test('a fault is forgotten after a night without one', async () => {
    clock = night;
    await writer.append(
      freshEvent({
        id: randomUUID(),
        action: 'log.verified',
        at: evening,
        outcome: 'failed',
        organisation: null,
        actor: { type: 'system', id: null, role: null },
        detail: { size: 1, ok: false },
      }),
    );
    const vault = process();
    await expect(vault.assertSound()).rejects.toMatchObject({ code: 'integrity_failure' });
    await vault.whenDue(never);
    await vault.assertSound();
    await process().assertSound();
  });
});
