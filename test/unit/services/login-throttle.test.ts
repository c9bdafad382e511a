import { describe, expect, test } from 'vitest';
import { isAppError } from '../../../src/core/errors.ts';
import {
  createLoginThrottle,
  type LoginThrottle,
  type ThrottleLimits,
} from '../../../src/services/login-throttle.ts';
import { createClock } from '../../support/key-material.ts';

const limits: ThrottleLimits = {
  pair: { burst: 3, everyMs: 10_000 },
  place: { burst: 6, everyMs: 1_000 },
  account: { burst: 5, everyMs: 60_000 },
  remembered: 1_000,
};

const create = (over: Partial<ThrottleLimits> = {}) => {
  const clock = createClock();
  return { clock, throttle: createLoginThrottle({ now: clock.now, limits: { ...limits, ...over } }) };
};

const fails = (
  throttle: LoginThrottle,
  account: string,
  place: string,
  known = false,
): 'counted' | number => {
  const admission = throttle.admit({ account, place, known });
  if (!('refused' in admission)) return 'counted';
  expect(isAppError(admission.refused, 'rate_limited')).toBe(true);
  return admission.refused.extras.retryAfter ?? Number.NaN;
};

const failTimes = (
  times: number,
  throttle: LoginThrottle,
  account: string,
  place: string,
  known = false,
): void => {
  for (let i = 0; i < times; i += 1) expect(fails(throttle, account, place, known)).toBe('counted');
};

describe('guessing is slowed', () => {
  test('one account from one place: a burst, then one at a time, with the seconds to wait', () => {
    const { throttle, clock } = create();
    failTimes(3, throttle, 'anna', 'ward');
    expect(fails(throttle, 'anna', 'ward')).toBe(10);
    clock.advance(9_999);
    expect(fails(throttle, 'anna', 'ward')).toBe(1);
    clock.advance(1);
    expect(fails(throttle, 'anna', 'ward')).toBe('counted');
    expect(fails(throttle, 'anna', 'ward')).toBe(10);
  });

  test('many accounts from one place', () => {
    const { throttle } = create();
    for (let i = 0; i < 6; i += 1) failTimes(1, throttle, `user${i}`, 'attacker');
    expect(fails(throttle, 'user7', 'attacker')).toBe(1);
  });

  test('one account from many places', () => {
    const { throttle } = create();
    for (let i = 0; i < 5; i += 1) failTimes(1, throttle, 'anna', `bot${i}`);
    expect(fails(throttle, 'anna', 'bot6')).toBe(60);
  });

  test('attempts that run at once are counted before any of them has failed', () => {
    const { throttle } = create();
    const admitted = Array.from({ length: 50 }, () => fails(throttle, 'anna', 'ward')).filter(
      (a) => a === 'counted',
    );
    expect(admitted).toHaveLength(3);
  });

  test('waiting does not become longer by trying', () => {
    const { throttle, clock } = create();
    failTimes(3, throttle, 'anna', 'ward');
    for (let i = 0; i < 100; i += 1) fails(throttle, 'anna', 'ward');
    clock.advance(10_000);
    expect(fails(throttle, 'anna', 'ward')).toBe('counted');
  });
});

describe('nobody is locked out by others', () => {
  test('an account under attack from everywhere signs in from where it is at home', () => {
    const { throttle } = create();
    for (let i = 0; i < 50; i += 1) fails(throttle, 'anna', `bot${i}`);
    expect(fails(throttle, 'anna', 'bot99')).not.toBe('counted');
    expect(fails(throttle, 'anna', 'ward', true)).toBe('counted');
  });

  test('a guesser in the same building does not lock out the colleagues who are at home there', () => {
    const { throttle } = create();
    for (let i = 0; i < 50; i += 1) fails(throttle, `user${i}`, 'ward');
    expect(fails(throttle, 'user99', 'ward')).not.toBe('counted');
    expect(fails(throttle, 'anna', 'ward', true)).toBe('counted');
  });

  test('and still cannot guess at a colleague without end', () => {
    const { throttle } = create();
    failTimes(3, throttle, 'anna', 'ward', true);
    expect(fails(throttle, 'anna', 'ward', true)).toBe(10);
  });

  test('signing in counts nothing: a whole ward does in the morning', () => {
    const { throttle } = create();
    for (let i = 0; i < 500; i += 1) {
      const admission = throttle.admit({ account: `nurse${i}`, place: 'ward', known: false });
      expect('forgive' in admission).toBe(true);
      if ('forgive' in admission) admission.forgive();
    }
  });

  test('another account from another place never notices', () => {
    const { throttle } = create();
    for (let i = 0; i < 50; i += 1) fails(throttle, 'anna', 'attacker');
    expect(fails(throttle, 'berit', 'home')).toBe('counted');
  });
});

test('an account that exists and one that does not are slowed alike', () => {
  const { throttle } = create();
  const existing = Array.from({ length: 5 }, () => fails(throttle, 'exists', 'a', true));
  const invented = Array.from({ length: 5 }, () => fails(throttle, 'invented', 'a', false));
  expect(existing).toEqual(invented);
});

test('memory is bounded: of more counters than fit, the one unused for longest is forgotten', () => {
  const { throttle } = create({ remembered: 2 });
  failTimes(3, throttle, 'anna', 'ward', true);
  failTimes(1, throttle, 'berit', 'ward', true);
  expect(fails(throttle, 'anna', 'ward', true)).toBe(10);
  failTimes(1, throttle, 'cilla', 'ward', true);
  expect(fails(throttle, 'anna', 'ward', true)).toBe(10);
  failTimes(1, throttle, 'doris', 'ward', true);
  failTimes(1, throttle, 'ester', 'ward', true);
  expect(fails(throttle, 'anna', 'ward', true)).toBe('counted');
});
