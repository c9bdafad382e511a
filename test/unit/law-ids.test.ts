import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Requirements of law and standards that this release answers: each is the beginning of the name of a test that proves it. */
const IDS = [
  ...['PDL-1', 'PDL-2', 'PDL-3', 'PDL-8', 'PDL-9', 'PDL-11'],
  ...['HSLF-1', 'HSLF-4'],
  ...['G-1', 'G-2', 'G-3', 'G-5', 'G-7'],
  ...['H-1', 'H-2', 'H-5'],
  ...['I-1', 'A-1'],
  ...['ASVS 5.2', 'ASVS 5.3', 'ASVS 5.4', 'ASVS 8.2.2', 'ASVS 8.3.2', 'ASVS 9.1', 'ASVS 11.3', 'ASVS 12.3'],
  ...['ASVS 13.4', 'ASVS 14.2.1', 'ASVS 14.3.2', 'ASVS 16.5.3'],
];

const folder = join(import.meta.dirname, '..');
const tests = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(folder, name), 'utf8'));

/** Names that begin with ids: `'PDL-1, PDL-2 …'`; what a name says is behind them. */
const ID = /[A-Z]+-\d+|ASVS [\d.]*\d/;
const NAME = new RegExp(
  `(?:test|describe|\\))\\(?\\(\\s*['\`]((?:(?:${ID.source}), )*(?:${ID.source})) \\S`,
  'g',
);
const named = new Set(
  tests.flatMap((text) => [...text.matchAll(NAME)].flatMap(([, ids]) => ids?.split(', '))),
);

test('every id has a test that is named after it', () => {
  expect(IDS.filter((id) => !named.has(id))).toEqual([]);
});

test('no test is named after an id that is not on the list', () => {
  expect([...named].filter((id) => !IDS.includes(id ?? ''))).toEqual([]);
});

test('A-1 is a rule of design: docs/threat-model.md states it', () => {
  const page = readFileSync(join(folder, '../docs/threat-model.md'), 'utf8');
  expect(page).toMatch(/\*\*A-1\*\* No feature rates sentiment, empathy or emotion/);
});
