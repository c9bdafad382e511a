import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseDeclaredType } from '../../../../src/core/audio/declared-type.ts';
import type { AudioFlag } from '../../../../src/core/audio/facts.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

/** docs/formats.md read as its readers do, so that page and code cannot part. */
const page = readFileSync(new URL('../../../../docs/formats.md', import.meta.url), 'utf8');
const rows = page
  .split('## Sound without a container')[1]!
  .split('\n')
  .filter((line) => line.startsWith('| `audio/'))
  .map((line) => line.split('|').map((cell) => cell.trim()));
const wordsIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word!);

test('every declared type of the page is known, and kept under the type that stands beside it', () => {
  expect(rows).toHaveLength(6);
  for (const [, declared, , kept] of rows)
    for (const type of wordsIn(declared!))
      expect(parseDeclaredType(type).raw?.mediaType).toBe(wordsIn(kept!)[0]);
});

test('rates and channels that are not usual are written down', () => {
  const mediaType = (type: string) => parseDeclaredType(type).raw?.mediaType;
  expect(mediaType('audio/sln')).toBe('audio/x-slin;rate=8000');
  expect(mediaType('audio/L16')).toBe('audio/L16;rate=8000');
  expect(mediaType('AUDIO/X-ULAW ; Rate=16000 ; channels="2"')).toBe('audio/basic;rate=16000;channels=2');
  expect(mediaType('audio/PCMA;rate=8000;channels=2')).toBe('audio/x-alaw;rate=8000;channels=2');
  expect(mediaType('audio/g722;rate=8000;channels=2')).toBe('audio/g722');
  // What is kept says how to read it once more.
  for (const type of [
    'audio/x-slin;rate=16000;channels=2',
    'audio/basic;rate=16000;channels=2',
    'audio/L16;rate=44100',
  ])
    expect(mediaType(mediaType(type)!)).toBe(type);
});

test.each([
  '',
  'audio',
  'audio/',
  'audio/wav',
  'audio/x-x-slin',
  `audio/${'x'.repeat(99)}slin`,
  'audio/slinky',
  ';rate=8000',
])('%j declares no raw sound', (type) => {
  expect(parseDeclaredType(type).raw).toBeNull();
});

test('flags that the page names are those of the probe', () => {
  const flags: readonly AudioFlag[] = [
    'truncated',
    'empty',
    'silent',
    'one_sided',
    'length_unknown',
    'header_invalid',
  ];
  for (const flag of [...flags, 'unknown_format', 'type_mismatch']) expect(page).toContain(`\`${flag}\``);
  expect(probeAudio(audioFixture('pipe.wav')).facts.flags).toEqual(['length_unknown']);
});
