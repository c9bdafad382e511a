import { expect, test } from 'vitest';
import {
  type AppendQueue,
  createAppendQueue,
  type Pending,
  type QueueLimits,
} from '../../../src/audit/append-queue.ts';

const limits: QueueLimits = { queueEvents: 100, queueBytes: 10_000, batchEvents: 10, batchBytes: 1_000 };

const pending = (body: string): Pending => ({
  event: {} as never,
  body,
  salt: Buffer.alloc(32),
  commitment: Buffer.alloc(32),
  resolve: () => undefined,
  reject: () => undefined,
  retried: false,
});

const filled = (bodies: readonly string[], differing: Partial<QueueLimits> = {}): AppendQueue => {
  const queue = createAppendQueue({ ...limits, ...differing });
  for (const body of bodies) queue.add(pending(body));
  return queue;
};

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));
const bodiesOf = (batch: readonly Pending[] | null) => batch?.map(({ body }) => body);

test('first come, first served, at most a batch at a time', () => {
  const queue = filled(numbers(12));
  expect(bodiesOf(queue.take())).toEqual(numbers(10));
  expect(bodiesOf(queue.take())).toEqual(['10', '11']);
  expect(queue.take()).toBeNull();
  expect(queue.isEmpty()).toBe(true);
});

test('a batch stays within its bytes, and one event always fits', () => {
  const queue = filled(['a'.repeat(600), 'b'.repeat(600), 'c'.repeat(5_000), 'd']);
  expect([queue.take(), queue.take(), queue.take(), queue.take()].map((batch) => batch?.length)).toEqual([
    1, 1, 1, 1,
  ]);
  expect(bodiesOf(filled(['a'.repeat(500), 'b'.repeat(500), 'c']).take())).toHaveLength(2);
});

test('full by events: refuses until something is taken', () => {
  const queue = filled(numbers(100));
  expect(queue.add(pending('x'))).toBe(false);
  queue.take();
  expect(queue.add(pending('x'))).toBe(true);
});

test('full by bytes: refuses until something is taken', () => {
  const queue = filled(['a'.repeat(9_999)]);
  expect(queue.add(pending('b'))).toBe(true);
  expect(queue.add(pending('c'))).toBe(false);
  queue.take();
  expect(queue.add(pending('c'))).toBe(true);
});

test('what is put back goes first, as it was and alone', () => {
  const queue = filled(['later']);
  queue.putBack([pending('right')]);
  queue.putBack([pending('left'), pending('left 2')]);
  queue.putBack([]);
  expect(bodiesOf(queue.take())).toEqual(['left', 'left 2']);
  expect(bodiesOf(queue.take())).toEqual(['right']);
  expect(bodiesOf(queue.take())).toEqual(['later']);
});

test('drained: everything once, and then nothing, with all its room free', () => {
  const queue = filled(numbers(100));
  queue.putBack([pending('again')]);
  expect(queue.drain()).toHaveLength(101);
  expect(queue.take()).toBeNull();
  expect(queue.drain()).toEqual([]);
  expect(queue.add(pending('a'.repeat(9_000)))).toBe(true);
});
