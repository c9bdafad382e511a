import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import type { AuditEvent } from '../../../src/core/events.ts';
import { integrityFailure } from '../../../src/crypto/integrity.ts';
import { createReportDamage, openOrReport } from '../../../src/services/report-damage.ts';
import { createClock } from '../../support/key-material.ts';

/** Log and table are outer edges here; the whole way is in test/acceptance/damaged-object.test.ts. */
const create = () => {
  const clock = createClock();
  const row = { id: randomUUID(), organisationId: randomUUID(), unitId: randomUUID() };
  const entries: AuditEvent[] = [];
  const alarms: { recording: string; fault: string }[] = [];
  const world = { away: false, status: 'stored' };
  const report = createReportDamage({
    recordings: { find: async () => ({ ...row, status: world.status }) as never },
    audit: {
      append: async (event) => {
        if (world.away) throw new AppError('log_unavailable', 'away');
        entries.push(event);
        return {} as never;
      },
    },
    now: clock.now,
    alarm: (fields) => void alarms.push(fields),
  });
  return { clock, row, entries, alarms, world, report };
};

describe('damage is told', () => {
  test('once in ten minutes, and again after them', async () => {
    const { report, row, clock, entries, alarms } = create();
    for (let i = 0; i < 5; i += 1) await report(row, integrityFailure('wrapped_key'));
    expect(entries).toMatchObject([{ action: 'recording.damaged', detail: { fault: 'wrapped_key' } }]);
    expect(alarms).toEqual([{ recording: row.id, fault: 'wrapped_key' }]);
    clock.advance(10 * 60_000 - 1);
    await report(row, integrityFailure('segment'));
    expect(entries).toHaveLength(1);
    clock.advance(1);
    await report(row, integrityFailure('segment'));
    expect(entries).toHaveLength(2);
  });

  test('with the log away it is not told yet: the next try tells it, at once', async () => {
    const { report, row, world, entries, alarms } = create();
    world.away = true;
    for (let i = 0; i < 2; i += 1)
      await expect(report(row, integrityFailure('length'))).rejects.toMatchObject({
        code: 'log_unavailable',
      });
    expect(alarms).toHaveLength(2);
    world.away = false;
    await report(row, integrityFailure('length'));
    expect(entries).toHaveLength(1);
  });

  test('pieces asked for at the same time are one finding', async () => {
    const { report, row, entries, alarms } = create();
    await Promise.all(Array.from({ length: 9 }, () => report(row, new AppError('not_found', 'gone'))));
    expect(entries).toMatchObject([{ detail: { fault: 'missing' } }]);
    expect(alarms).toHaveLength(1);
  });

  test('each recording for itself', async () => {
    const { report, row, entries } = create();
    await report(row, integrityFailure('segment'));
    await report({ ...row, id: randomUUID() }, integrityFailure('segment'));
    expect(entries).toHaveLength(2);
  });

  test.each(['erasing', 'erased'])('not of what is %s meanwhile', async (status) => {
    const { report, row, world, entries, alarms } = create();
    world.status = status;
    const opened = openOrReport(report, row, () => Promise.reject(new AppError('not_found', 'gone')));
    await expect(opened).rejects.toMatchObject({ code: 'not_found' });
    expect([entries, alarms]).toEqual([[], []]);
  });
});

test.each(['keys_unavailable', 'storage_unavailable', 'invalid_receipt'] as const)(
  'an outage is no damage: %s passes',
  async (code) => {
    const { report, row, alarms } = create();
    const opened = openOrReport(report, row, () => Promise.reject(new AppError(code, 'x')));
    await expect(opened).rejects.toMatchObject({ code });
    expect(alarms).toEqual([]);
  },
);
