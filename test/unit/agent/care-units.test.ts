import { describe, expect, test } from 'vitest';
import type { Answer } from '../../../src/agent/delivery.ts';
import { createCheckUnits } from '../../../src/agent/import/care-units.ts';

const answer = (status: number, body: unknown = null): Answer => ({ status, body, retryAfter: null });
const refusal = (...places: unknown[]) =>
  answer(400, {
    code: 'not_acceptable_metadata',
    faults: places.map((place) => ({ where: `careUnits/${place}`, fault: '\u001b[31m0701740605' })),
  });
const signal = AbortSignal.timeout(10_000);

const checkOf = (answers: (Answer | null)[], units = ['a', 'b'], option: 'field' | 'pattern' = 'pattern') => {
  const questions: unknown[] = [];
  const check = createCheckUnits({
    client: {
      ask: async (_method, path, { body }) => {
        questions.push([path, body]);
        return answers.shift() ?? null;
      },
    },
    named: async () => [{ option, units }],
    showNames: true,
  });
  return { check: () => check(signal), questions };
};

describe('what answers may be anything', () => {
  test.each([
    ['words in place of numbers', refusal('x', '-1', '1.5', '99', '00701740605', '__proto__')],
    ['no list', answer(400, { faults: 'careUnits/0' })],
    ['holes', answer(400, { faults: [null, 7, {}] })],
    ['nothing', answer(400)],
  ])('%s: no unit is blamed that was not named, and nothing of the answer is said', async (_, said) => {
    expect(await checkOf([said]).check()).toBeNull();
  });

  test('a vault that does not know the question is not asked again', async () => {
    const { check, questions } = checkOf([answer(404)]);
    expect([await check(), await check()]).toEqual([null, null]);
    expect(questions).toHaveLength(1);
  });

  test('one that is away, or does not know the key, is asked again until it answers', async () => {
    const { check, questions } = checkOf([null, answer(503), answer(401), answer(204), answer(500)]);
    expect(await check()).toMatchObject({ outcome: 'later', code: 'unreachable' });
    expect(await check()).toMatchObject({ outcome: 'later', code: 'http_503', stopped: false });
    expect(await check()).toMatchObject({ outcome: 'later', reason: expect.stringContaining('key') });
    expect([await check(), await check()]).toEqual([null, null]);
    expect(questions).toHaveLength(4);
  });
});

test('asked at once by several it is one question; each hears of the fault', async () => {
  const { check, questions } = checkOf([refusal(1)]);
  const all = await Promise.allSettled([check(), check(), check()]);
  for (const one of all)
    expect(one).toMatchObject({
      reason: { code: 'config_invalid', message: expect.stringContaining('("b")') },
    });
  expect(questions).toHaveLength(1);
});

test('many are asked by twenty, each place counts in its own question, and names steer no terminal', async () => {
  const units = Array.from({ length: 41 }, (_, n) => `\u001b[2J${n}`);
  const { check, questions } = checkOf([answer(204), refusal(0, 19), refusal(0)], units);
  await expect(check()).rejects.toThrow('3 of 41 care units ("\ufffd[2J20", "\ufffd[2J39", "\ufffd[2J40")');
  expect(questions).toHaveLength(3);
});

test('none named: nothing is asked', async () => {
  const { check, questions } = checkOf([], []);
  expect(await check()).toBeNull();
  expect(questions).toEqual([]);
});
