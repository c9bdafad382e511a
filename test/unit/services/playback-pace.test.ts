import { describe, expect, test } from 'vitest';
import { pacer } from '../../../src/services/playback-pace.ts';
import { createClock } from '../../support/key-material.ts';

const BURST = 4 * 1024 * 1024;
const PIECE = 128 * 1024;
/** An hour of telephone PCM: 16 000 bytes are heard per second, 128 000 are sent. */
const HOUR = { plainBytes: 57_600_000n, durationMs: 3_600_000 };

const create = (of: { plainBytes: bigint | null; durationMs: number | null }) => {
  const clock = createClock();
  const begun = clock.now();
  const waits: number[] = [];
  const pace = pacer({
    ...of,
    now: clock.now,
    signal: new AbortController().signal,
    wait: async (ms) => {
      waits.push(ms);
      clock.advance(ms);
    },
  });
  return { clock, pace, waits, elapsed: () => clock.now() - begun };
};

/** Milliseconds after which the piece at `start` leaves, when all before have left as early as they may. */
const leavesAt = async (of: Parameters<typeof create>[0], start: number): Promise<number> => {
  const { pace, elapsed } = create(of);
  for (let at = 0; at < start; at += PIECE) await pace(at);
  await pace(start);
  return elapsed();
};

describe('a whole answer', () => {
  test('flows at full speed up to the burst, to its last byte', async () => {
    const { pace, waits } = create(HOUR);
    for (let start = 0; start <= BURST; start += PIECE) await pace(start);
    expect(waits).toEqual([]);
    await pace(BURST + PIECE);
    expect(waits).toEqual([PIECE / 128]);
  });

  test.each([
    ['the first piece after the burst', BURST + PIECE, PIECE / 128],
    ['a minute of sound later', BURST + 960_000, 7_500],
    ['the end of an hour', 57_600_000, (57_600_000 - BURST) / 128],
  ])('then eight times as fast as it is heard: %s', async (_name, start, expected) => {
    expect(await leavesAt(HOUR, start)).toBeCloseTo(expected, 6);
  });

  test('of a compressed call flows by its own rate', async () => {
    const compressed = { plainBytes: 14_400_000n, durationMs: 3_600_000 };
    expect(await leavesAt(compressed, BURST + 32_000)).toBeCloseTo(1_000, 6);
  });

  test.each([
    ['no duration', { plainBytes: 57_600_000n, durationMs: null }],
    ['a duration of nothing', { plainBytes: 57_600_000n, durationMs: 0 }],
    ['a duration before the beginning', { plainBytes: 57_600_000n, durationMs: -5 }],
    ['no length', { plainBytes: null, durationMs: 1_000 }],
  ])('with %s flows as twice telephone PCM does', async (_name, of) => {
    expect(await leavesAt(of, BURST + 256_000)).toBeCloseTo(1_000, 6);
  });

  test('to a listener who is slower himself never waits', async () => {
    const { clock, pace, waits } = create(HOUR);
    for (let start = 0; start < 20_000_000; start += PIECE) {
      await pace(start);
      clock.advance(PIECE / 100);
    }
    expect(waits).toEqual([]);
  });
});

test('a listener who hangs up ends the wait at once', async () => {
  const hungUp = new AbortController();
  const pace = pacer({ ...HOUR, now: Date.now, signal: hungUp.signal });
  const waiting = pace(57_600_000);
  hungUp.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
});
