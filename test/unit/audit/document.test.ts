import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commitmentOf, leafOf } from '../../../src/core/audit/commitment.ts';
import { encodeEvent } from '../../../src/core/audit/entry.ts';
import { faultKinds } from '../../../src/core/audit/fault.ts';
import { emptyRange, extendRange, rootOf } from '../../../src/core/audit/merkle.ts';
import { eventScope, outcomes, purposes } from '../../../src/core/events.ts';
import { everyAction, fixedEvent } from '../../support/audit-events.ts';

const document = readFileSync(join(import.meta.dirname, '../../../docs/audit-log.md'), 'utf8');

const section = (number: number): string =>
  document.split(/^## /m).find((part) => part.startsWith(`${number}. `))!;

/** Cells of the rows of a table whose first cell is a word in backquotes. */
const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

const words = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word!);

describe('the table of events', () => {
  const rows = rowsOf(section(8));

  test('has every action once, in the order of the code', () => {
    expect(rows.map(([action]) => words(action!)[0])).toEqual(Object.keys(eventScope));
  });

  test.each(everyAction)('%s: its scope and its fields are the ones documented', (action) => {
    const [, scope, detail, when] = rows.find((row) => words(row[0]!)[0] === action)!;
    expect(scope).toBe(eventScope[action]);
    expect(words(detail!)).toEqual(Object.keys(fixedEvent(action).detail));
    expect(when!.length).toBeGreaterThan(20);
  });
});

test('every field, outcome, purpose and finding has its words', () => {
  const body = JSON.parse(encodeEvent(fixedEvent('recording.viewed')).body) as object;
  expect(rowsOf(section(1)).flatMap(([field]) => words(field!))).toEqual(Object.keys(body));
  for (const word of [...outcomes, ...purposes]) expect(section(1)).toContain(`\`${word}\``);
  expect(rowsOf(section(5)).map(([finding]) => words(finding!)[0])).toEqual([...faultKinds]);
});

test('the example is computed as the document says, and as the program does', () => {
  const value = (name: string): string => new RegExp(`^${name} +([^ =].*)$`, 'm').exec(section(3))![1]!;
  const sha256 = (...parts: (Buffer | string)[]): Buffer =>
    createHash('sha256')
      .update(Buffer.concat(parts.map((part) => Buffer.from(part as string))))
      .digest();
  const [salt, body] = [Buffer.from(value('salt'), 'hex'), value('body')];
  const commitment = sha256(Buffer.of(2), salt, body);
  expect(commitment.toString('hex')).toBe(value('c'));
  const leaf = sha256(Buffer.of(0), Buffer.of(1), commitment);
  expect(leaf.toString('hex')).toBe(value('leaf'));
  const [second, root] = [...section(3).matchAll(/`([0-9a-f]{64})`/g)].map(([, hex]) =>
    Buffer.from(hex!, 'hex'),
  );
  expect(sha256(Buffer.of(1), leaf, second!)).toEqual(root);

  // A subject as real entries have one (§1), where the fixture's is a word.
  const subject = '1:5f0e3c1b9a7d42688e1fd0c3b2a49576';
  expect(body).toBe(encodeEvent({ ...fixedEvent('recording.viewed'), subject }).body);
  expect(commitmentOf(salt, body)).toEqual(commitment);
  expect(rootOf(extendRange(emptyRange, [leafOf(commitment), second!]))).toEqual(root);
});
