import { describe, expect, test } from 'vitest';
import type { LogEntry } from '../../../src/audit/reader.ts';
import type { UserActor } from '../../../src/core/access.ts';
import { AppError } from '../../../src/core/errors.ts';
import type { AuditEvent } from '../../../src/core/events.ts';
import type { Credential } from '../../../src/services/authenticate.ts';
import { createExportLog, type ExportLogDeps, MAX_EXPORTED } from '../../../src/services/export-log.ts';
import { fixedId, freshEvent } from '../../support/audit-events.ts';

const officer = {
  type: 'user',
  id: fixedId(4),
  role: 'compliance',
  organisation: fixedId(2),
  units: [],
  session: fixedId(6),
} as unknown as UserActor;

const credential = { kind: 'session', sessionId: fixedId(6) } as unknown as Credential;

/** A log of `length` entries that gives pages of it, and tells in which order it was asked what. */
const logOf = (length: number, told = length) => {
  const steps: string[] = [];
  const entries: LogEntry[] = Array.from({ length }, (_, seq) => ({ seq, event: freshEvent() }));
  const written: AuditEvent[] = [];
  const state = {
    failure: null as AppError | null,
    who: officer as object | null,
  };
  const deps = {
    log: {
      head: async () => ({ size: 777, root: '' }),
      count: async (_query: unknown, most: number) => ({
        count: Math.min(told, most),
        first: 0,
        last: told - 1,
      }),
      search: async ({
        cursor = '0',
        limit = 1,
        size,
      }: {
        cursor?: string;
        limit?: number;
        size?: number;
      }) => {
        steps.push(`page ${cursor} of ${size}`);
        if (state.failure !== null) throw state.failure;
        const end = Number(cursor) + limit;
        return { entries: entries.slice(Number(cursor), end), next: end < length ? String(end) : null };
      },
    },
    audit: {
      append: async (event: AuditEvent) => {
        steps.push('entry');
        written.push(event);
        if (state.failure !== null) throw state.failure;
      },
    },
    logQuestion: async () => ({ audience: { scope: 'organisation', organisation: fixedId(2) } }),
    authenticate: async () => {
      steps.push('permitted');
      if (state.who === null) throw new AppError('unauthenticated', 'Sign in first.');
      return state.who;
    },
    installationId: fixedId(900),
    now: () => 0,
  } as unknown as ExportLogDeps;
  const begin = () =>
    createExportLog(deps).entries({
      actor: officer,
      credential,
      query: {},
      format: 'csv',
      criteria: ['from'],
      request: 'r',
    });
  return { steps, written, state, begin };
};

const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const taken: T[] = [];
  for await (const item of items) taken.push(item);
  return taken;
};

describe('the entry', () => {
  test('is committed before anything is read, and says how much there is', async () => {
    const { steps, written, begin } = logOf(450);
    const { entries, count } = await begin();
    expect(steps).toEqual(['entry']);
    expect(written).toMatchObject([
      {
        action: 'log.exported',
        detail: { format: 'csv', criteria: ['from'], count: 450, first: 0, last: 449 },
      },
    ]);
    expect(count).toBe(450);
    expect((await all(entries)).map(({ seq }) => seq)).toEqual(Array.from({ length: 450 }, (_, i) => i));
    expect(steps).toEqual([
      'entry',
      'page 0 of 777',
      'permitted',
      'page 200 of 777',
      'permitted',
      'page 400 of 777',
    ]);
  });

  test('that cannot be written leaves nothing to read', async () => {
    const { steps, state, begin } = logOf(10);
    state.failure = new AppError('log_unavailable', 'The log cannot be written.');
    await expect(begin()).rejects.toMatchObject({ code: 'log_unavailable' });
    expect(steps).toEqual(['entry']);
  });
});

describe('the file', () => {
  test('of more than there may be is refused, not cut, and is no entry', async () => {
    const { written, begin } = logOf(0, MAX_EXPORTED + 1);
    await expect(begin()).rejects.toMatchObject({
      code: 'invalid_request',
      extras: { faults: [{ where: 'from' }] },
    });
    expect(written).toEqual([]);
  });

  test('of as much as there may be is given', async () => {
    const { begin } = logOf(0, MAX_EXPORTED);
    expect((await begin()).count).toBe(MAX_EXPORTED);
  });

  test('is read a page at a time, when the page before has been taken; whoever stops ends it', async () => {
    const { steps, begin } = logOf(1000);
    const { entries } = await begin();
    let taken = 0;
    for await (const _ of entries) {
      taken += 1;
      if (taken === 201) break;
    }
    expect(steps).toEqual(['entry', 'page 0 of 777', 'permitted', 'page 200 of 777']);
  });

  test.each([
    ['signed out', null, 'unauthenticated'],
    ['of another role', { ...officer, role: 'nurse' }, 'forbidden'],
    ['of another organisation', { ...officer, organisation: fixedId(222) }, 'forbidden'],
  ])('ends before the next page for somebody who is %s meanwhile', async (_, who, code) => {
    const { state, steps, begin } = logOf(450);
    const { entries } = await begin();
    state.who = who;
    await expect(all(entries)).rejects.toMatchObject({ code });
    expect(steps).toEqual(['entry', 'page 0 of 777', 'permitted']);
  });

  test.each([449, 451])('that is not as long as its entry says (%i) fails at its end', async (told) => {
    const { entries } = await logOf(450, told).begin();
    await expect(all(entries)).rejects.toMatchObject({ code: 'integrity_failure' });
  });
});
