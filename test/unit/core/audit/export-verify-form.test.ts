import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatEnd, formatLine, MAX_LINE_BYTES } from '../../../../src/core/audit/export-format.ts';
import { fixedEvent } from '../../../support/audit-events.ts';
import { fileOf, lineAt, rangeFile } from '../../../support/export-file.ts';
import { found, lines, linesOf, log, SIZE, signed, verdictOf } from '../../../support/export-verdict.ts';
import { createMemoryLog, storedEntry, storedLeaf } from '../../../support/memory-log.ts';

/** What is no export, or not as the vault writes one. */
describe('a file that is not what was written', () => {
  const file = rangeFile(log, signed);
  const cutAfter = (count: number) => Buffer.from(`${linesOf(file).slice(0, count).join('\n')}\n`);

  const start = `${lines.join('\n')}\n`;
  const endOf = (text: string | Buffer, entries: number): string =>
    formatEnd({ end: createHash('sha256').update(text).digest('hex'), entries });

  test.each<[string, string]>([
    ['another count', endOf(start, SIZE + 1)],
    ['white space', endOf(start, SIZE).replace(',', ', ')],
    ['a field more', endOf(start, SIZE).replace('}', ',"more":1}')],
    [
      'a digest in capitals',
      endOf(start, SIZE).toUpperCase().replace('"END"', '"end"').replace('"ENTRIES"', '"entries"'),
    ],
  ])('whose last line has %s', (_what, end) => {
    expect(verdictOf(Buffer.from(`${start}${endOf(start, SIZE)}\n`)).ok).toBe(true);
    expect(found(Buffer.from(`${start}${end}\n`)).ok).toBe(false);
  });

  test('whose bytes are not UTF-8, though what is read of them is what was committed to', () => {
    const mended = createMemoryLog(3);
    mended.entries[1] = storedEntry(1, fixedEvent('playback.denied', { detail: { reason: 'a\ufffdb' } }));
    mended.leaves[1] = storedLeaf(mended.entries[1]);
    const whole = rangeFile(mended);
    expect(verdictOf(whole).ok).toBe(true);
    const at = whole.indexOf('\ufffd');
    const bytes = Buffer.concat([whole.subarray(0, at), Buffer.of(0xff), whole.subarray(at + 3)]);
    const text = bytes.subarray(0, bytes.lastIndexOf('{"end":'));
    const file = Buffer.concat([text, Buffer.from(`${endOf(text, 3)}\n`)]);
    expect(found(file)).toEqual({ ok: false, kind: 'export', index: 1 });
  });

  test('with a line that does not end: it is not read to its end', () => {
    const { faults } = verdictOf(Buffer.concat([cutAfter(3), Buffer.alloc(3_000_000, '{')]));
    expect(faults.map(({ message }) => message)).toContainEqual(expect.stringContaining('longer than any'));
  });

  test.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['one line feed', Buffer.from('\n')],
    ['something else', Buffer.from('{"hello":"world"}\n')],
    ['a header alone', cutAfter(1)],
    ['cut within a line', file.subarray(0, file.length - 300)],
    ['cut before its last line', cutAfter(SIZE + 1)],
    ['cut before the line feed of its last line', file.subarray(0, -1)],
    ['with something behind its end', Buffer.concat([file, Buffer.from(`${linesOf(file)[5]}\n`)])],
    ['with half a line behind its end', Buffer.concat([file, Buffer.from('{')])],
    ['with its end twice', Buffer.concat([file, Buffer.from(`${file.toString().split('\n').at(-2)}\n`)])],
    ['twice', Buffer.concat([file, file])],
    ['without its header', fileOf(linesOf(file).slice(1))],
    ['with Windows line ends', Buffer.from(file.toString().replaceAll('\n', '\r\n'))],
    ['with a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), file])],
    ['in UTF-16', Buffer.from(file.toString(), 'utf16le')],
    ['noughts', Buffer.alloc(1_000_000)],
    ['a line without end', Buffer.alloc(3_000_000, 'a')],
    ['a line without end behind a header', Buffer.concat([cutAfter(3), Buffer.alloc(3_000_000, '{')])],
    ['half a million brackets', Buffer.from(`${'['.repeat(MAX_LINE_BYTES - 1)}\n`)],
  ])('%s', (_what, hostile) => {
    for (const piece of [997, 65_536]) expect(verdictOf(hostile, {}, piece)).toMatchObject({ ok: false });
  });
});

const line71 = lines[71]!;
describe('a line that is not as the vault writes it', () => {
  test.each<[string, Buffer | string]>([
    [
      'invalid UTF-8',
      Buffer.concat([
        Buffer.from(line71.slice(0, 300)),
        Buffer.of(0xff, 0xfe),
        Buffer.from(line71.slice(302)),
      ]),
    ],
    [
      'half a UTF-8 letter',
      Buffer.concat([Buffer.from(line71.slice(0, -2)), Buffer.of(0xc3), Buffer.from('}}')]),
    ],
    ['white space', line71.replace(',"commitment"', ', "commitment"')],
    ['white space at the end', `${line71} `],
    ['another order of fields', line71.replace(/^\{("seq":70),("commitment":"[^"]*")/, '{$2,$1')],
    ['a field too many', line71.replace('{"seq":70', '{"seq":70,"x":1')],
    ['a place as text', line71.replace('"seq":70', '"seq":"70"')],
    ['a place that is none', line71.replace('"seq":70', '"seq":-70')],
    ['a place written otherwise', line71.replace('"seq":70', '"seq":70.0')],
    ['a place with a nought before it', line71.replace('"seq":70', '"seq":070')],
    ['a place beyond 2^53', line71.replace('"seq":70', '"seq":9007199254740993')],
    ['a place beyond everything', line71.replace('"seq":70', '"seq":70e400')],
    ['no commitment', line71.replace(/,"commitment":"[^"]*"/, '')],
    ['a commitment that is a number', line71.replace(/"commitment":"[^"]*"/, '"commitment":1')],
    ['a commitment too short', line71.replace(/("commitment":").{4}/, '$1')],
    [
      'a commitment in another spelling',
      line71.replace(
        /("commitment":".{42})(.)=/,
        (_all, start, last) => `${start}${String.fromCharCode(last.charCodeAt(0) + 1)}=`,
      ),
    ],
    ['a salt that is null', line71.replace(/"salt":"[^"]*"/, '"salt":null')],
    [
      'a body that is text',
      line71.replace(/"body":(.*)\}$/, (_all, body) => `"body":${JSON.stringify(body)}}`),
    ],
    ['a body that is a list', line71.replace(/"body":.*$/, '"body":[]}')],
    ['an escaped letter in the body', line71.replace('"success"', '"\\u0073uccess"')],
    ['something behind the body', line71.replace(/\}$/, ',"more":1}')],
    ['a list', `[${line71}]`],
    ['null', 'null'],
  ])('an entry with %s', (_what, hostile) => {
    const start = Buffer.from(`${lines.slice(0, 71).join('\n')}\n`);
    const rest = Buffer.from(`\n${lines.slice(72).join('\n')}`);
    const whole = Buffer.concat([start, Buffer.from(hostile as string), rest]);
    const { ok, faults } = verdictOf(Buffer.concat([whole, Buffer.from('\n')]));
    expect({ ok, index: faults[0]?.index }).toEqual({ ok: false, index: 70 });
  });
});

const header = lines[0]!;
describe('a header that is not as the vault writes it', () => {
  test.each<[string, string]>([
    ['another format', header.replace('callvault-log-export', 'callvault-log')],
    ['a newer version', header.replace('"version":1', '"version":2')],
    ['another kind', header.replace('"kind":"range"', '"kind":"all"')],
    [
      'another order of fields',
      header.replace(
        '"format":"callvault-log-export","version":1',
        '"version":1,"format":"callvault-log-export"',
      ),
    ],
    ['a field too many', header.replace(/\}$/, ',"more":1}')],
    ['a field twice', header.replace('"size":300', '"size":300,"size":300')],
    ['a size beyond 2^53', header.replace('"size":300', '"size":9007199254740993')],
    ['a size below nothing', header.replace('"size":300', '"size":-1')],
    ['a size as text', header.replace('"size":300', '"size":"300"')],
    ['a root too short', header.replace(/("root":").{4}/, '$1')],
    ['hashes that are none', header.replace('"before":[]', '"before":["x"]')],
    [
      'more hashes than any tree has',
      header.replace(
        '"before":[]',
        `"before":[${Array(65)
          .fill(`"${Buffer.alloc(32).toString('base64')}"`)
          .join(',')}]`,
      ),
    ],
    ['a note that is a number', header.replace(/"checkpoint":"[^"]*"/, '"checkpoint":7')],
    ['a filter with a field more', header.replace('"until":null', '"until":null,"number":"x"')],
  ])('a header with %s', (_what, hostile) => {
    expect(hostile).not.toBe(header);
    expect(found(fileOf([hostile, ...lines.slice(1)]))).toEqual({ ok: false, kind: 'export', index: null });
  });
});

describe('what is said of it', () => {
  test('no finding repeats what a body says', () => {
    const hostile = lines.with(5, lines[71]!.replace('"success"', '"CANARY"')).with(9, '"CANARY"');
    expect(JSON.stringify(verdictOf(fileOf(hostile)))).not.toContain('CANARY');
  });

  test('of many faults the first are kept', () => {
    const hostile = rangeFile(log, { change: (line) => ({ ...line, columns: ['actor'] }) });
    const { faultCount, faults } = verdictOf(hostile);
    expect([faultCount, faults.length, faults[0]?.index]).toEqual([SIZE, 20, 0]);
  });
});

describe('a body that would break out of its line is not shown', () => {
  const line = lineAt(log, 70);
  test('nor one beside a salt of another length', () => {
    const content = { salt: Buffer.alloc(31), body: '{}' };
    expect(formatLine({ ...line, content })).toMatch(/,"body":null\}$/);
  });

  test.each([
    '{"a":"\n"}',
    '{"a":"\r"}',
    '{"a":"\u2028"}',
    '{"a":"\0"}',
    '{"a":"\ud800"}',
    'x',
    '',
    '{}\n{"end":"x"}',
  ])('%j', (body) => {
    const text = formatLine({ ...line, content: { salt: Buffer.alloc(32), body } });
    expect(text).toBe(`{"seq":70,"commitment":"${line.commitment.toString('base64')}","body":null}`);
  });
});

test('whatever the bytes are, there is a verdict', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...lines.slice(0, 4)), fc.string(), fc.json()), { maxLength: 8 }),
      (random) => {
        expect(verdictOf(Buffer.from(random.join('\n'))).ok).toBe(false);
      },
    ),
    { numRuns: 300 },
  );
});
