import { beforeEach, describe, expect, test } from 'vitest';
import type { Contradiction } from '../../../src/audit/contradiction.ts';
import type { EpochEntry } from '../../../src/audit/epoch-entries.ts';
import type { AuditEvent } from '../../../src/core/events.ts';
import { createDeclareEpoch, type DeclareEpochDeps } from '../../../src/services/declare-epoch.ts';
import { fixedEvent, fixedId } from '../../support/audit-events.ts';

/** Who may open an epoch, when, and what happens when it is broken off. */
const people: Record<string, { id: string; role: string; enabled: boolean; passwordInitial?: true }> = {
  'admin@example.org': { id: fixedId(1), role: 'admin', enabled: true },
  'officer@example.org': { id: fixedId(2), role: 'compliance', enabled: true },
  'auditor@example.org': { id: fixedId(3), role: 'installation_auditor', enabled: true },
  'nurse@example.org': { id: fixedId(4), role: 'nurse', enabled: true },
  'reset@example.org': { id: fixedId(6), role: 'compliance', enabled: true, passwordInitial: true },
  'gone@example.org': { id: fixedId(5), role: 'admin', enabled: false },
};
const found: Contradiction = {
  where: '/somewhere',
  anchored: { size: 12, root: Buffer.alloc(32, 1) },
  head: { size: 7, root: Buffer.alloc(32, 2) },
  lostFrom: 6,
};

let contradiction: Contradiction | null;
let entries: EpochEntry[];
let sealedTo: number;
let appended: AuditEvent[];
let nextSeq: number;
let seal: (epoch: number) => Promise<void>;
let verified: string[];
beforeEach(() => {
  contradiction = found;
  entries = [];
  sealedTo = 1;
  appended = [];
  nextSeq = 7;
  verified = [];
  seal = async (epoch) => {
    sealedTo = epoch;
  };
});

const epochNow = (): number => entries.at(-1)?.event.detail.epoch ?? 1;

const declare = (approvers: readonly [string, string][], reason = 'The disk failed in the night') => {
  const deps = {
    users: {
      findForSignIn: async (email: string) =>
        people[email] === undefined
          ? null
          : { passwordInitial: false, ...people[email], passwordHash: `hash of ${email}` },
    },
    passwords: {
      verify: async (stored: string | null, password: string) => {
        verified.push(password);
        return { ok: stored !== null && password === 'right', outdated: false };
      },
    },
    epochs: {
      opened: async () => ({ entries, sealed: sealedTo >= epochNow() }),
      loss: async () => contradiction && { ...contradiction, next: epochNow() + 1 },
      seal: (epoch: number) => seal(epoch),
    },
    openWriter: () => ({
      append: async (event: AuditEvent) => {
        appended.push(event);
        entries.push({ seq: nextSeq, event } as EpochEntry);
        return { seq: nextSeq };
      },
      close: async () => undefined,
    }),
    now: () => 1_800_000_000_000,
  } as unknown as DeclareEpochDeps;
  return createDeclareEpoch(deps)({
    reason,
    approvers: approvers.map(([email, password]) => ({ email, password })),
  });
};

const right = (...emails: string[]): [string, string][] => emails.map((email) => [email, 'right']);

test('two who may: the entry says what was lost, and the epoch is signed', async () => {
  const declared = await declare(right('admin@example.org', 'Officer@Example.org'));
  const detail = {
    epoch: 2,
    anchoredSize: 12,
    anchoredRoot: '01'.repeat(32),
    headSize: 7,
    headRoot: '02'.repeat(32),
    lostFrom: 6,
    lostTo: 12,
    approvers: [fixedId(1), fixedId(2)],
  };
  expect(declared).toEqual({ ...detail, seq: 7 });
  expect(appended).toMatchObject([
    { action: 'log.epoch_opened', detail: { ...detail, reason: 'The disk failed in the night' } },
  ]);
  expect(sealedTo).toBe(2);
});

describe('refused, with nothing written', () => {
  test.each([
    [
      'a wrong password',
      [
        ['admin@example.org', 'right'],
        ['officer@example.org', 'wrong'],
      ],
      'unauthenticated',
    ],
    ['a nurse', right('admin@example.org', 'nurse@example.org'), 'unauthenticated'],
    ['somebody disabled', right('admin@example.org', 'gone@example.org'), 'unauthenticated'],
    [
      'a password that an administrator made',
      right('admin@example.org', 'reset@example.org'),
      'unauthenticated',
    ],
    ['nobody', right('admin@example.org', 'nobody@example.org'), 'unauthenticated'],
    ['no address', right('admin@example.org', 'x'), 'unauthenticated'],
    ['one person twice', right('admin@example.org', 'ADMIN@example.org'), 'invalid_request'],
    ['one alone', right('admin@example.org'), 'invalid_request'],
    ['three', right('admin@example.org', 'officer@example.org', 'auditor@example.org'), 'invalid_request'],
  ] as [string, [string, string][], string][])('%s', async (_, approvers, code) => {
    await expect(declare(approvers)).rejects.toMatchObject({ code });
    expect([appended, sealedTo]).toEqual([[], 1]);
  });

  test('both passwords are looked at before one of them is told wrong', async () => {
    const both: [string, string][] = [
      ['nobody@example.org', 'first'],
      ['officer@example.org', 'second'],
    ];
    await expect(declare(both)).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(verified).toEqual(['first', 'second']);
  });

  test.each(['', '   ', 'too short', 'x'.repeat(501)])('the reason %j', async (reason) => {
    const asked = declare(right('admin@example.org', 'officer@example.org'), reason);
    await expect(asked).rejects.toMatchObject({ code: 'invalid_request' });
    expect(verified).toEqual([]);
  });

  test('a log that contradicts nothing', async () => {
    contradiction = null;
    const asked = declare(right('admin@example.org', 'officer@example.org'));
    await expect(asked).rejects.toMatchObject({ code: 'conflict' });
    expect(appended).toEqual([]);
  });
});

test('somebody else wrote to the log meanwhile: said, and not signed', async () => {
  nextSeq = 8;
  const asked = declare(right('admin@example.org', 'officer@example.org'));
  await expect(asked).rejects.toMatchObject({ code: 'log_halted' });
  expect(sealedTo).toBe(1);
});

describe('broken off between entry and signature', () => {
  beforeEach(async () => {
    const finish = seal;
    seal = () => Promise.reject(new Error('killed'));
    await expect(declare(right('admin@example.org', 'officer@example.org'))).rejects.toThrow('killed');
    seal = finish;
  });

  test('the same two finish it, in any order, with no second entry', async () => {
    const declared = await declare(right('officer@example.org', 'admin@example.org'));
    expect(declared).toMatchObject({ epoch: 2, seq: 7 });
    expect([appended.length, sealedTo]).toEqual([1, 2]);
  });

  test('another pair does not', async () => {
    const asked = declare(right('officer@example.org', 'auditor@example.org'));
    await expect(asked).rejects.toMatchObject({ code: 'conflict' });
    expect(sealedTo).toBe(1);
  });

  test('an entry that somebody else made up is finished by nobody', async () => {
    const event = fixedEvent('log.epoch_opened');
    entries = [{ seq: 3, event }];
    const asked = declare(right('officer@example.org', 'admin@example.org'));
    await expect(asked).rejects.toMatchObject({ code: 'conflict' });
    expect(sealedTo).toBe(1);
  });
});

test('a third epoch follows the second', async () => {
  entries = [{ seq: 3, event: fixedEvent('log.epoch_opened') }];
  sealedTo = 2;
  expect(await declare(right('auditor@example.org', 'admin@example.org'))).toMatchObject({ epoch: 3 });
  expect(sealedTo).toBe(3);
});
