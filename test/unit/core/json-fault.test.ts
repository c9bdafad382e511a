import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonFault } from '../../../src/core/json-fault.ts';

test.each<[string, string, [number, number] | null]>([
  ['nothing', '', null],
  ['no end', '{"a": [1, 2', null],
  ['no value', '{"a":', null],
  ['a word', 'true dat', [1, 6]],
  ['a word that is none', '{"a": nul}', [1, 7]],
  ['a comma too many', '{\n  "a": 1,\n  "b": 2,\n}', [4, 1]],
  ['a comma too few', '{\n  "a": 1\n  "b": 2\n}', [3, 3]],
  ['another kind of quotes', "{'a': 1}", [1, 2]],
  ['a name without quotes', '{a: 1}', [1, 2]],
  ['a line break in a text', '{"a": "x\ny"}', [1, 7]],
  ['a text without end', '{\r\n"a": "0701740605}\r\n', [2, 6]],
  ['a figure that begins with zero', '{"a": 0701740605}', [1, 8]],
  ['two documents', '{} {}', [1, 4]],
  ['a byte order mark', '\ufeff{}', [1, 1]],
  ['a colon for a comma', '[1:2]', [1, 3]],
  ['an escape that is none', '["\\x"]', [1, 2]],
])('%s: the place', (_, text, place) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(jsonFault(text)).toEqual(place === null ? null : { line: place[0], column: place[1] });
});

test('what JSON.parse takes has no fault, and what is cut ends too early or in its last text', () => {
  const parsed = (text: string): boolean => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(fc.json({ maxDepth: 5 }), (text) => jsonFault(text) === null),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(
      fc.string({
        maxLength: 12,
        unit: fc.constantFrom('{', '}', '[', ']', ':', ',', '"', '1', '-', 'e', '\\', 'n', ' ', '\n'),
      }),
      (text) => !parsed(text) || jsonFault(text) === null,
    ),
    { numRuns: 3_000 },
  );
  // Cut anywhere, it ends too early or its last text does.
  const whole = '{"a": [1.5e3, "b\\u00e5", {"c": null}], "d": false}';
  for (let length = 0; length < whole.length; length += 1) {
    const fault = jsonFault(whole.slice(0, length));
    expect(fault === null || fault.column <= length).toBe(true);
  }
});

test.each([
  ['brackets', '['.repeat(65_000)],
  ['a text without end', `"${'a'.repeat(65_000)}`],
  ['escapes', `"${'\\u12'.repeat(16_000)}`],
  ['figures', `${'1'.repeat(65_000)}x`],
  ['commas', ','.repeat(65_000)],
  ['spaces', ' '.repeat(65_000)],
])('%s without end: in no time', (_, text) => {
  const from = performance.now();
  jsonFault(text);
  expect(performance.now() - from).toBeLessThan(1_000);
});
