import { expect, test } from 'vitest';
import { createDeliveryGate } from '../../../src/agent/delivery-gate.ts';

const never = new AbortController().signal;
const limits = { firstMs: 40, ceilingMs: 40, random: () => 1 };

test('open until something fails; then one at a time, after a pause, until one gets through', async () => {
  let now = 0;
  const gate = createDeliveryGate(limits, () => now);
  const [a, b] = [await gate.enter(never), await gate.enter(never)];
  expect(gate.leave(a!, { retryAfter: null })).toBe(40);
  // What was under way before says nothing new.
  gate.leave(b!, { retryAfter: null });
  expect(gate.failures()).toBe(1);
  now = 40;
  const tried = await gate.enter(never);
  expect(tried?.isTry).toBe(true);
  let isIn = false;
  const waiting = gate.enter(never).then((passage) => {
    isIn = true;
    return passage;
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(isIn).toBe(false);
  gate.leave(tried!, 'answers');
  expect((await waiting)?.isTry).toBe(false);
  expect(gate.failures()).toBe(0);
});

test('a try that finds out nothing makes room for the next, and no pause', async () => {
  let now = 0;
  const gate = createDeliveryGate(limits, () => now);
  gate.leave((await gate.enter(never))!, { retryAfter: null });
  now = 40;
  gate.leave((await gate.enter(never))!, 'nothing');
  expect((await gate.enter(never))?.isTry).toBe(true);
  expect(gate.failures()).toBe(1);
});

test('what the vault asks for is waited', async () => {
  const gate = createDeliveryGate(limits, () => 0);
  expect(gate.leave((await gate.enter(never))!, { retryAfter: 7 })).toBeGreaterThanOrEqual(7_000);
});

test('nobody is let through after the signal, and whoever waits is let go', async () => {
  const told = new AbortController();
  const gate = createDeliveryGate({ ...limits, firstMs: 1e6, ceilingMs: 1e6 });
  gate.leave((await gate.enter(never))!, { retryAfter: null });
  const waiting = gate.enter(told.signal);
  told.abort();
  expect(await waiting).toBeNull();
  expect(await gate.enter(told.signal)).toBeNull();
});
