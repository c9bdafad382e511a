import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { pcm16, wavFile } from '../../../support/audio-files.ts';
import { probeAudio } from '../../../support/probe-audio.ts';

/** Peaks read as docs/file-format.md §9 says, with its table of places, so that page and code cannot part. */
const PAGE = readFileSync(join(import.meta.dirname, '../../../../docs/file-format.md'), 'utf8');
const chapter = /^## 9\. Peaks\n(.*?)(?=^## |(?![\s\S]))/ms.exec(PAGE)?.[1] ?? '';

/** First byte, type and meaning of each row. */
const rows = [...chapter.matchAll(/^\| (\d+)[^|]*\| ([^|]+) \| ([^|]+) \|$/gm)].map(([, at, type, what]) => ({
  at: Number(at),
  type: type?.trim() ?? '',
  what: what?.trim() ?? '',
}));

const read = (peaks: Buffer, name: string): string | number => {
  const row = rows.find(({ what }) => what.startsWith(name));
  if (row === undefined) throw new Error(`the page does not say where ${name} is`);
  if (row.type === 'text') return peaks.toString('latin1', row.at, row.at + 4);
  const bytes = { u8: 1, u16: 2, u32: 4 }[row.type.split(',')[0] as 'u8' | 'u16' | 'u32'];
  return peaks.readUIntBE(row.at, bytes);
};
const numberOf = (peaks: Buffer, name: string): number => Number(read(peaks, name));

test('what the page says is what a recording gives: places, sizes, scale', () => {
  const frames = 2500;
  const left = Array.from({ length: frames }, (_, i) => (i === 1999 ? -32_768 : i % 100));
  const right = Array.from({ length: frames }, (_, i) => (i < 1000 ? 12_800 : -12_801));
  const samples = left.flatMap((sample, i) => [sample, right[i] ?? 0]);
  const { peaks } = probeAudio(wavFile({ channels: 2, data: pcm16(samples) }));
  if (peaks === null) throw new Error('no peaks');

  expect(read(peaks, '`CVPK`')).toBe('CVPK');
  expect(numberOf(peaks, 'version')).toBe(1);
  expect(numberOf(peaks, 'channels')).toBe(2);
  expect(numberOf(peaks, 'frames per second')).toBe(8000);
  const [buckets, width] = [numberOf(peaks, 'buckets'), numberOf(peaks, 'frames per bucket')];
  expect(buckets).toBeLessThanOrEqual(1000);
  expect([width, buckets]).toEqual([4, 625]);
  const levels = rows.find(({ what }) => what.startsWith('levels'))?.at ?? 0;
  expect(peaks).toHaveLength(levels + 2 * buckets);

  const amplitude = (sample: number): number => (sample < 0 ? -1 - sample : sample);
  for (const [channel, all] of [left, right].entries())
    for (let bucket = 0; bucket < buckets; bucket += 1) {
      const loudest = Math.max(...all.slice(bucket * width, (bucket + 1) * width).map(amplitude));
      expect(peaks[levels + channel * buckets + bucket]).toBe(Math.min(255, Math.floor(loudest / 128)));
    }
});
