import { beforeEach, expect, test } from 'vitest';
import { logHalted } from '../../../src/audit/append-failure.ts';
import { type Appendable, createAppendable } from '../../../src/audit/appendable.ts';
import type { AppError } from '../../../src/core/errors.ts';

type Answer = () => Promise<boolean>;
const yes: Answer = async () => true;
const no: Answer = async () => false;

let now: number;
let asked: string[];
let obstacle: AppError | null;
let right: Answer;
let trial: Answer;
let log: Appendable;
beforeEach(() => {
  [now, asked, obstacle, right, trial] = [1_000_000, [], null, yes, yes];
  log = createAppendable({
    obstacle: async () => obstacle,
    mayAppend: () => {
      asked.push('right');
      return right();
    },
    tryAppend: () => {
      asked.push('trial');
      return trial();
    },
    now: () => now,
  });
});

const verdict = (): Promise<string> =>
  log.assert().then(
    () => 'yes',
    (error: AppError) => error.code,
  );

test('a committed append is believed for five seconds; then one question answers everybody', async () => {
  log.committed();
  now += 4_999;
  expect(await verdict()).toBe('yes');
  expect(asked).toEqual([]);
  now += 1;
  expect(await Promise.all(Array.from({ length: 100 }, verdict))).toEqual(Array(100).fill('yes'));
  expect(asked).toEqual(['right']);
  now += 4_999;
  expect(await verdict()).toBe('yes');
  expect(asked).toEqual(['right']);
});

test('a right that was taken away is noticed within five seconds, with no append tried', async () => {
  expect(await verdict()).toBe('yes');
  right = no;
  now += 5_000;
  expect(await verdict()).toBe('log_unavailable');
});

test('a refused append says no at once, until a trial succeeds; the right alone is not enough', async () => {
  log.committed();
  log.refused();
  expect(await verdict()).toBe('log_unavailable');
  expect(asked).toEqual([]);
  now += 1_000;
  trial = no;
  expect(await verdict()).toBe('log_unavailable');
  expect(asked).toEqual(['trial']);
  trial = yes;
  // The next question waits a second, whoever asks.
  expect(await verdict()).toBe('log_unavailable');
  expect(asked).toEqual(['trial']);
  now += 1_000;
  expect(await verdict()).toBe('yes');
  expect(asked).toEqual(['trial', 'trial']);
  now += 5_000;
  expect(await verdict()).toBe('yes');
  expect(asked.at(-1)).toBe('right');
});

test('a committed append ends the refusal at once', async () => {
  log.refused();
  log.committed();
  expect(await verdict()).toBe('yes');
});

test('a refusal that comes while the question is under way wins over its answer', async () => {
  right = async () => {
    log.refused();
    return true;
  };
  expect(await verdict()).toBe('log_unavailable');
  expect(await verdict()).toBe('log_unavailable');
});

test('no answer is a no', async () => {
  right = () => Promise.reject(new Error('nobody there'));
  expect(await verdict()).toBe('log_unavailable');
});

test('what keeps this process from appending is told first, and not asked about', async () => {
  log.committed();
  obstacle = logHalted('halted');
  expect(await verdict()).toBe('log_halted');
  expect(asked).toEqual([]);
});

test('an event refused for what is in it: one trial in a second tells whether any would be', async () => {
  expect(await Promise.all([log.refusesAll(), log.refusesAll()])).toEqual([false, false]);
  now += 999;
  expect(await log.refusesAll()).toBe(false);
  expect(asked).toEqual(['trial']);
  now += 1;
  trial = no;
  expect(await log.refusesAll()).toBe(true);
  expect(await verdict()).toBe('log_unavailable');
  trial = yes;
  now += 999;
  expect(await log.refusesAll()).toBe(true);
  expect(asked).toEqual(['trial', 'trial']);
  // What is only believed puts no new trial off.
  now += 1;
  expect(await log.refusesAll()).toBe(false);
  expect(asked).toEqual(['trial', 'trial', 'trial']);
});

test('a trial that went through is worth nothing after a refusal, nor one that failed after a commit', async () => {
  expect(await log.refusesAll()).toBe(false);
  log.refused();
  expect(await log.refusesAll()).toBe(true);
  log.committed();
  expect(await log.refusesAll()).toBe(false);
  expect(asked).toEqual(['trial', 'trial']);
});

test('a trial without an answer blames no event', async () => {
  trial = () => Promise.reject(new Error('nobody there'));
  expect(await log.refusesAll()).toBe(true);
  expect(await verdict()).toBe('log_unavailable');
});
