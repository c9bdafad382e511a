import { expect, test } from 'vitest';
import type { LogEvidence, RawRow } from '../../../src/audit/log-evidence.ts';
import type { UserActor } from '../../../src/core/access.ts';
import { createExportVerifier } from '../../../src/core/audit/export-verify.ts';
import { AppError } from '../../../src/core/errors.ts';
import { createExportEvidence } from '../../../src/services/export-evidence.ts';
import { fixedId } from '../../support/audit-events.ts';
import { treeOf } from '../../support/export-file.ts';
import { createMemoryLog } from '../../support/memory-log.ts';

/** In what order an export is made, and how far it reads ahead of whoever takes it. */
const SIZE = 3_000;
const log = createMemoryLog(SIZE);
const tree = treeOf(log);

const officer = {
  type: 'user',
  id: fixedId(4),
  role: 'compliance',
  organisation: fixedId(2),
  units: [],
  session: fixedId(6),
} as unknown as UserActor;

const rowAt = (seq: number): RawRow => {
  const { salt, body, facts } = log.entries[seq]!;
  const { commitment, eventId } = log.leaves[seq]!;
  return { seq, commitment, salt, body, facts, eventId: eventId ?? '' };
};

const started = ({
  append = async () => ({ seq: SIZE }),
  checkpointNow = async () => undefined,
}: {
  append?: () => Promise<{ seq: number }>;
  checkpointNow?: () => Promise<void>;
} = {}) => {
  const steps: string[] = [];
  const told =
    <A extends unknown[], T>(name: string, work: (...args: A) => T | Promise<T>) =>
    async (...args: A): Promise<T> => {
      steps.push(name);
      return work(...args);
    };
  const evidence: Pick<LogEvidence, 'head' | 'checkpoint' | 'witnesses' | 'range' | 'consistency' | 'run'> = {
    head: told('head', () => ({ size: SIZE, root: tree.root(SIZE) })),
    checkpoint: told('checkpoint', () => null),
    witnesses: told('witnesses', () => 0),
    range: told('range', (size: number) => ({ size, hashes: tree.range(size) })),
    consistency: told('consistency', (from: number, to: number) => tree.consistency(from, to)),
    run: told('run', (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => rowAt(from + i)),
    ),
  };
  const exportEvidence = createExportEvidence({
    evidence: evidence as LogEvidence,
    checkpointNow: told('sign', checkpointNow),
    audit: { append: told('entry', append) as never },
    log: { count: told('count', () => ({ count: 0, first: null, last: null })) },
    logQuestion: {} as never,
    now: () => 0,
  });
  return { steps, begin: (to = SIZE) => exportEvidence(officer, { by: 'range', to }, 'request') };
};

const pagesRead = (steps: readonly string[]): number => steps.filter((step) => step === 'run').length;

test('signed first, proven, told to the log, and only then is anything read', async () => {
  const { steps, begin } = started();
  const pieces = await begin();
  expect(steps).toEqual([
    'sign',
    'head',
    'witnesses',
    'checkpoint',
    'range',
    'consistency',
    'count',
    'count',
    'entry',
  ]);
  const verifier = createExportVerifier();
  for await (const piece of pieces) verifier.push(piece);
  expect(verifier.finish()).toMatchObject({ ok: true, entries: SIZE });
});

test('no entry, nothing given', async () => {
  const { steps, begin } = started({
    append: async () => {
      throw new AppError('log_unavailable', 'away');
    },
  });
  await expect(begin()).rejects.toMatchObject({ code: 'log_unavailable' });
  expect(pagesRead(steps)).toBe(0);
});

test('a checkpoint that cannot be made is no reason to give nothing', async () => {
  const { begin } = started({
    checkpointNow: async () => {
      throw new AppError('storage_unavailable', 'away');
    },
  });
  const verifier = createExportVerifier();
  for await (const piece of await begin()) verifier.push(piece);
  expect(verifier.finish()).toMatchObject({ ok: true, checkpointSize: 0 });
});

test('it reads no further than it is taken, and stops when nobody takes any more', async () => {
  const { steps, begin } = started();
  const pieces = (await begin())[Symbol.asyncIterator]();
  const first = await pieces.next();
  expect((first.value as Buffer).length).toBeLessThan(128 * 1024);
  const read = pagesRead(steps);
  expect(read).toBeLessThanOrEqual(2);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(pagesRead(steps)).toBe(read);
  await pieces.return?.();
  expect((await pieces.next()).done).toBe(true);
  expect(pagesRead(steps)).toBe(read);
});

test('what goes wrong on the way leaves a file without its end', async () => {
  const { steps, begin } = started();
  const verifier = createExportVerifier();
  const failing = async (): Promise<void> => {
    for await (const piece of await begin()) {
      verifier.push(piece);
      if (pagesRead(steps) > 3) throw new Error('broken off');
    }
  };
  await expect(failing()).rejects.toThrow('broken off');
  expect(verifier.finish().faults.map(({ message }) => message)).toContainEqual(
    expect.stringContaining('is cut'),
  );
});
