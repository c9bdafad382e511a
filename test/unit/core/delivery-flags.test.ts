import { expect, test } from 'vitest';
import { deliveryFlags } from '../../../src/core/delivery-flags.ts';
import { parseMetadata, parseTolerantly } from '../../../src/core/metadata.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const flagsOf = (
  metadata: object,
  facts: { channels: number | null; durationMs: number | null } = { channels: 2, durationMs: 60_000 },
  rules: { hasCareUnit?: boolean; unitIsUnknown?: boolean } = {},
) =>
  deliveryFlags(parseMetadata({ callId: 'x', ...metadata }, NOW), facts, {
    hasCareUnit: true,
    unitIsUnknown: false,
    ...rules,
  });

test('what fits is not flagged', () => {
  expect(flagsOf({})).toEqual([]);
  const channels = { 0: 'caller', 1: 'agent' };
  const pauses = [
    [0, 1000],
    [1000, 2000],
    [59_000, 61_000],
  ];
  expect(flagsOf({ channels, pauses })).toEqual([]);
});

test.each([
  [{ pauses: [[0, 61_001]] }, 'pauses_beyond_end'],
  [
    {
      pauses: [
        [5000, 6000],
        [1000, 2000],
      ],
    },
    'pauses_unordered',
  ],
  [
    {
      pauses: [
        [1000, 2000],
        [1999, 3000],
      ],
    },
    'pauses_unordered',
  ],
  [{ channels: { 2: 'agent' } }, 'channels_beyond'],
  [{ channels: { 0: 'caller', 7: 'agent' } }, 'channels_beyond'],
])('%j against a minute of stereo: %s', (metadata, flag) => {
  expect(flagsOf(metadata)).toEqual([flag]);
});

test('what is not known of the audio contradicts nothing', () => {
  const metadata = { channels: { 7: 'agent' }, pauses: [[0, 100_000]] };
  expect(flagsOf(metadata, { channels: null, durationMs: null })).toEqual([]);
  expect(flagsOf(metadata, { channels: 1, durationMs: 0 }, { hasCareUnit: false })).toEqual([
    'no_care_unit',
    'pauses_beyond_end',
    'channels_beyond',
  ]);
});

test('what was said and could not be used is told once, whatever it was', () => {
  expect(flagsOf({}, undefined, { unitIsUnknown: true })).toEqual(['metadata_faulty']);
  const input = { callId: 'x', direction: 'sideways', queue: 7, careUnit: 'Advice' };
  const read = parseTolerantly(input, ['direction', 'queue', 'careUnit'], NOW);
  expect(read).toMatchObject({ direction: null, queue: null, careUnit: 'Advice' });
  const rules = { hasCareUnit: false, unitIsUnknown: true };
  expect(deliveryFlags(read, { channels: 2, durationMs: 1 }, rules)).toEqual([
    'no_care_unit',
    'metadata_faulty',
  ]);
  const whole = parseTolerantly({ callId: 'x', queue: 'q' }, ['queue'], NOW);
  expect(deliveryFlags(whole, { channels: 2, durationMs: 1 }, { ...rules, unitIsUnknown: false })).toEqual([
    'no_care_unit',
  ]);
});

test('tolerance has an end: what is not among the wishes is refused', () => {
  for (const input of [
    { queue: 'q' },
    { callId: 7 },
    { callId: 'x', direction: 'sideways' },
    { callId: 'x', a: 1 },
  ])
    expect(() => parseTolerantly(input, ['queue'], NOW)).toThrow(
      expect.objectContaining({ code: 'not_acceptable_metadata' }),
    );
});

test('a call that begins more than a day ahead is refused, one of another zone is not', () => {
  expect(flagsOf({ startedAt: '2026-11-22T11:59:59Z' })).toEqual([]);
  const ahead = () => flagsOf({ startedAt: '2026-11-22T12:00:01Z' });
  expect(ahead).toThrow(expect.objectContaining({ code: 'not_acceptable_metadata' }));
});
