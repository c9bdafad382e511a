import { expect, test } from 'vitest';
import { assertReceipt, type Receipt } from '../../../src/audit/receipt.ts';
import { fixedId, freshEvent } from '../../support/audit-events.ts';
import { receiptFor } from '../../support/receipts.ts';

const at = 1_763_719_200_000;
const [organisation, recording] = [fixedId(2), fixedId(10)];
const genuine = receiptFor({
  action: 'recording.viewed',
  detail: {},
  organisation,
  recording,
  at,
});
const scope = { actions: ['recording.viewed'] as const, organisation, recording, now: at };

test('a genuine receipt opens what its entry covers', () => {
  expect(() => assertReceipt(genuine, scope)).not.toThrow();
});

/** What somebody could make who holds a genuine one; all of it says the same. */
const forgeries: readonly [string, () => unknown][] = [
  ['a copy', () => ({ ...genuine })],
  [
    'a copy of its kind',
    () => Object.assign(Object.create(Object.getPrototypeOf(genuine) as object), genuine),
  ],
  ['what inherits from it', () => Object.create(genuine)],
  ['a proxy of it', () => new Proxy(genuine, {})],
  ['a clone', () => structuredClone(genuine)],
  ['text', () => JSON.stringify(genuine)],
  ['nothing', () => null],
  ['undefined', () => undefined],
];
test.each(forgeries)('forged: %s opens nothing', (_, forge) => {
  expect(() => assertReceipt(forge() as Receipt, scope)).toThrow('it was not made by the access log');
});

test('its own constructor, which anybody reaches, makes no other one', () => {
  const { constructor: Minted } = genuine as unknown as { constructor: new (...given: unknown[]) => Receipt };
  const event = freshEvent({ action: 'recording.viewed', organisation, recording, at });
  for (const mint of [undefined, Symbol('mint'), Symbol.for('mint'), 'mint'])
    expect(() => new Minted(mint, event, 1)).toThrow('made by the access log alone');
});

test('nothing of it can be changed', () => {
  for (const [name, value] of Object.entries(genuine)) {
    expect(() => Object.assign(genuine, { [name]: value })).toThrow(TypeError);
    expect(() => Object.defineProperty(genuine, name, { value: 'other' })).toThrow(TypeError);
  }
  expect(() => (genuine.recordings as string[]).push(fixedId(11))).toThrow(TypeError);
});
