import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { assertOpaqueName } from '../../src/core/ingest-headers.ts';
import { parseMetadata } from '../../src/core/metadata.ts';
import { probeAudio } from '../support/probe-audio.ts';

type DemoCall = {
  readonly file: string;
  readonly mediaType: string;
  readonly audio: Record<string, unknown>;
  readonly startedMinutesAgo: number;
  readonly metadata: Record<string, unknown>;
};

const folder = new URL('../../fixtures/', import.meta.url);
const read = (name: string): Buffer => readFileSync(new URL(name, folder));
const { careUnits, calls } = JSON.parse(read('calls.json').toString()) as {
  careUnits: string[];
  calls: DemoCall[];
};
const NOW = Date.UTC(2026, 10, 21, 12);

describe.each(calls)('$file', ({ file, mediaType, audio, startedMinutesAgo, metadata }) => {
  test('is the audio it is said to be, whole', () => {
    const { facts } = probeAudio(read(file), 4096, mediaType);
    expect(facts).toMatchObject({ mediaType, ...audio, flags: [] });
  });

  test('has metadata that the vault accepts', () => {
    const parsed = parseMetadata(metadata, NOW);
    expect(careUnits).toContain(parsed.careUnit);
    expect(startedMinutesAgo).toBeGreaterThan(0);
    expect(() => assertOpaqueName(file)).not.toThrow();
    expect(read('README.md').toString()).toContain(`\`${file}\``);
  });

  test('names nobody who exists', () => {
    const { callerNumber, calledNumber, personalNumber } = parseMetadata(metadata, NOW);
    for (const number of [callerNumber, calledNumber]) {
      if (number?.kind === 'withheld') continue;
      expect(number?.canonical).toMatch(/^\+46(70174(060[5-9]|06[1-9]\d)|8465004\d\d)$/);
    }
    expect([null, '201701012393', '189001019802']).toContain(personalNumber);
  });
});

test('every sample is described, and they are small', () => {
  const samples = readdirSync(folder).filter((name) => /\.(wav|mp3)$/.test(name));
  expect(samples.sort()).toEqual(calls.map(({ file }) => file).sort());
  const bytes = samples.reduce((sum, name) => sum + read(name).length, 0);
  expect(bytes).toBeLessThan(600_000);
});
