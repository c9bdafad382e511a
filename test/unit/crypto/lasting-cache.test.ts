import { expect, test } from 'vitest';
import { createLastingCache } from '../../../src/crypto/lasting-cache.ts';

const createCounted = () => {
  const gates: ((value: number) => void)[] = [];
  const load = () => new Promise<number>((resolve) => gates.push(resolve));
  return { load, gates };
};

const options = { freshMs: 1000, limitMs: 5000, retryMs: 100, now: () => 0 };

test('what was forgotten while it was loading is handed out but not kept', async () => {
  for (const forgotten of ['a', undefined]) {
    const cache = createLastingCache<number>(options);
    const { load, gates } = createCounted();
    const first = cache.get('a', load);
    cache.forget(forgotten);
    const second = cache.get('a', load);
    expect(gates).toHaveLength(2);
    gates[0]?.(1);
    expect(await first).toBe(1);
    // The one asked for after the forgetting is still on its way, and is the one that stays.
    const third = cache.get('a', load);
    expect(gates).toHaveLength(2);
    gates[1]?.(2);
    expect([await second, await third, await cache.get('a', load)]).toEqual([2, 2, 2]);
  }
});

test('names do not share a value, nor does one wait for another', async () => {
  const cache = createLastingCache<number>(options);
  const { load, gates } = createCounted();
  const [a, b] = [cache.get('a', load), cache.get('b', load)];
  gates[1]?.(2);
  expect(await b).toBe(2);
  gates[0]?.(1);
  expect(await a).toBe(1);
});
