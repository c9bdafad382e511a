import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeEvent } from '../../../src/core/audit/entry.ts';
import { AppError } from '../../../src/core/errors.ts';
import type { AuditEvent } from '../../../src/core/events.ts';
import { createRefusalAggregator, type RefusalLimits } from '../../../src/services/refusal-aggregator.ts';
import { createClock } from '../../support/key-material.ts';

/** The writer is an outer edge here: what matters is what is handed to it. The real log is in the integration tests. */
const create = (over: Partial<RefusalLimits> = {}) => {
  const clock = createClock();
  const entries: AuditEvent[] = [];
  const log = { away: false };
  const aggregator = createRefusalAggregator({
    audit: {
      append: async (event) => {
        if (log.away) throw new AppError('log_unavailable', 'away');
        entries.push(encodeEvent(event).event);
        return {} as never;
      },
    },
    now: clock.now,
    limits: { windowMs: 60_000, windows: 100, bytesPerDay: 1_000_000, overflowMs: 3_600_000, ...over },
  });
  const refuse = (prefix: string, account: string | null = 'a1', reason = 'credentials') =>
    aggregator.record({ prefix, account, reason, request: randomUUID() });
  const details = () =>
    entries.map((entry) => entry.detail as { prefix: string; count: number; reason: string });
  const total = () => details().reduce((sum, { count }) => sum + count, 0);
  return { clock, entries, log, aggregator, refuse, details, total };
};

describe('strangers cannot fill the log', () => {
  test('the first refusal is an entry at once, the rest of the minute is one entry with their count', async () => {
    const { refuse, aggregator, clock, details } = create();
    for (let i = 0; i < 100; i += 1) await refuse('p1');
    expect(details()).toEqual([{ prefix: 'p1', account: 'a1', count: 1, reason: 'credentials' }]);
    await aggregator.flush();
    expect(details()).toHaveLength(1);
    clock.advance(60_000);
    await aggregator.flush();
    expect(details()[1]).toEqual({ prefix: 'p1', account: 'a1', count: 99, reason: 'credentials' });
    await refuse('p1');
    expect(details()[2]).toMatchObject({ prefix: 'p1', count: 1 });
  });

  test('a minute in which nothing followed the first needs no second entry', async () => {
    const { refuse, aggregator, clock, details } = create();
    await refuse('p1');
    clock.advance(60_000);
    await aggregator.flush();
    expect(details()).toHaveLength(1);
  });

  test('places and accounts are told apart; reasons are summed up', async () => {
    const { refuse, aggregator, details } = create();
    await refuse('p1', 'a1');
    await refuse('p2', 'a1');
    await refuse('p1', 'a2');
    await refuse('p1', null, 'forged_token');
    expect(details()).toHaveLength(4);
    await refuse('p1', 'a1', 'credentials');
    await refuse('p1', 'a1', 'throttled');
    await aggregator.close();
    expect(details()[4]).toEqual({ prefix: 'p1', account: 'a1', count: 2, reason: 'several' });
  });
});

describe('a day has a budget', () => {
  test('what is over the budget of a day is counted and told together, once an hour', async () => {
    const { refuse, aggregator, clock, entries, details, total } = create({ bytesPerDay: 2_000 });
    for (let i = 0; i < 50; i += 1) await refuse(`p${i}`);
    const within = entries.reduce((sum, entry) => sum + encodeEvent(entry).body.length, 0);
    expect(within).toBeLessThanOrEqual(2_000);
    expect(entries.length).toBeLessThan(10);
    await aggregator.flush();
    expect(details().at(-1)).toMatchObject({ prefix: 'others', account: null, reason: 'over_budget' });
    expect(total()).toBe(50);
    const length = entries.length;
    for (let i = 50; i < 60; i += 1) await refuse(`p${i}`);
    clock.advance(60_000);
    await aggregator.flush();
    expect(entries).toHaveLength(length);
    clock.advance(3_600_000);
    await aggregator.flush();
    expect(entries).toHaveLength(length + 1);
    expect(total()).toBe(60);
  });

  test('the next day has a budget of its own', async () => {
    const { refuse, clock, details } = create({ bytesPerDay: 500 });
    await refuse('p1');
    await refuse('p2');
    expect(details()).toHaveLength(1);
    clock.advance(86_400_000);
    await refuse('p3');
    expect(details()).toHaveLength(2);
  });

  test('places beyond the memory are counted together', async () => {
    const { refuse, aggregator, details, total } = create({ windows: 10 });
    for (let i = 0; i < 1_000; i += 1) await refuse(`p${i}`);
    await aggregator.close();
    expect(details()).toHaveLength(11);
    expect(details().at(-1)).toMatchObject({ prefix: 'others', count: 990 });
    expect(total()).toBe(1_000);
  });
});

describe('with the log away nothing is lost', () => {
  test('the first refusal rejects and stays counted', async () => {
    const { refuse, aggregator, log, clock, details, total } = create();
    log.away = true;
    await expect(refuse('p1')).rejects.toMatchObject({ code: 'log_unavailable' });
    await refuse('p1');
    clock.advance(60_000);
    await expect(aggregator.flush()).rejects.toMatchObject({ code: 'log_unavailable' });
    log.away = false;
    clock.advance(60_000);
    await aggregator.flush();
    expect(total()).toBe(2);
    expect(details()).toHaveLength(1);
  });

  test('and so does what is told together', async () => {
    const { refuse, aggregator, log, total } = create({ windows: 1 });
    await refuse('p1');
    await refuse('p2');
    log.away = true;
    await expect(aggregator.close()).rejects.toMatchObject({ code: 'log_unavailable' });
    log.away = false;
    await aggregator.close();
    expect(total()).toBe(2);
  });

  test('one place that cannot be written does not keep the others from being tried', async () => {
    const { refuse, aggregator, log, clock, total } = create();
    for (const prefix of ['p1', 'p2', 'p3']) {
      await refuse(prefix);
      await refuse(prefix);
    }
    log.away = true;
    clock.advance(60_000);
    await expect(aggregator.flush()).rejects.toThrow();
    await refuse('p1').catch(() => undefined);
    log.away = false;
    await aggregator.close();
    expect(total()).toBe(7);
  });
});

test('an entry names nobody: an anonymous actor, keyed hashes and a closed word', async () => {
  const { refuse, entries } = create();
  await refuse('1:00ff', '1:abcd');
  expect(entries[0]).toMatchObject({
    action: 'session.refused',
    outcome: 'denied',
    actor: { type: 'anonymous', id: null, role: null },
    organisation: null,
    session: null,
    detail: { prefix: '1:00ff', account: '1:abcd', count: 1, reason: 'credentials' },
  });
});
