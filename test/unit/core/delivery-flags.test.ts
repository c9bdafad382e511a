import { expect, test } from 'vitest';
import { deliveryFlags } from '../../../src/core/delivery-flags.ts';
import { parseMetadata } from '../../../src/core/metadata.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const flagsOf = (
  metadata: object,
  facts: { channels: number | null; durationMs: number | null } = { channels: 2, durationMs: 60_000 },
  hasCareUnit = true,
) => deliveryFlags(parseMetadata({ callId: 'x', ...metadata }, NOW), facts, hasCareUnit);

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
  expect(flagsOf(metadata, { channels: 1, durationMs: 0 }, false)).toEqual([
    'no_care_unit',
    'pauses_beyond_end',
    'channels_beyond',
  ]);
});

test('a call that begins more than a day ahead is refused, one of another zone is not', () => {
  expect(flagsOf({ startedAt: '2026-11-22T11:59:59Z' })).toEqual([]);
  const ahead = () => flagsOf({ startedAt: '2026-11-22T12:00:01Z' });
  expect(ahead).toThrow(expect.objectContaining({ code: 'not_acceptable_metadata' }));
});
