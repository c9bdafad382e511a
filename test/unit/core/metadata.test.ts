import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import {
  type CallMetadata,
  MAX_METADATA_BYTES,
  parseMetadata,
  parseMetadataJson,
} from '../../../src/core/metadata.ts';
import { CallMetadataSchema } from '../../../src/core/metadata-schema.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const parse = (input: unknown): CallMetadata => parseMetadata(input, NOW);

const errorOf = (run: () => unknown): AppError => {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};
/** Faults by field. */
const faultsOf = (run: () => unknown): Record<string, string> => {
  const error = errorOf(run);
  expect(error.code).toBe('not_acceptable_metadata');
  return Object.fromEntries(error.extras.faults!.map(({ where, fault }) => [where, fault]));
};
const refusedFields = (input: unknown): string[] => Object.keys(faultsOf(() => parse(input)));

const everything = {
  callId: 'a84b4c76e66710@pbx.example.se',
  deliveryId: 'sha256:00',
  segment: 2,
  careUnit: 'Barnmottagningen',
  startedAt: '2026-03-01T08:15:30.250+01:00',
  endedAt: '2026-03-01T07:20:00Z',
  direction: 'inbound',
  callerNumber: '070-174 06 05',
  calledNumber: '1177',
  agentId: 'SE2321000016-1AB2',
  queue: 'Öppettider & råd 🩺',
  personalNumber: '121212+1212',
  channels: { 0: 'caller', 1: 'agent' },
  pauses: [
    [9000, 12_000],
    [1000, 2500],
  ],
  originalName: '../q-0701740605\n.wav',
  announcement: 'sv-2026.1',
  retentionClass: 'journal',
  legalBasis: 'public_task',
};

test('everything a source can say', () => {
  expect(parse(everything)).toEqual({
    ...everything,
    tolerant: false,
    unread: false,
    startedAt: Date.UTC(2026, 2, 1, 7, 15, 30, 250),
    pausesInOrder: false,
    endedAt: Date.UTC(2026, 2, 1, 7, 20),
    callerNumber: { raw: '070-174 06 05', kind: 'e164', canonical: '+46701740605' },
    calledNumber: { raw: '1177', kind: 'short', canonical: null },
    personalNumber: '191212121212',
    pauses: [
      [1000, 2500],
      [9000, 12_000],
    ],
  });
});

test('the least a source can say', () => {
  expect(parse({ callId: '1' })).toEqual({
    callId: '1',
    deliveryId: null,
    segment: 0,
    careUnit: null,
    startedAt: null,
    endedAt: null,
    direction: null,
    callerNumber: null,
    calledNumber: null,
    agentId: null,
    queue: null,
    personalNumber: null,
    channels: null,
    pauses: [],
    pausesInOrder: true,
    originalName: null,
    announcement: null,
    retentionClass: null,
    legalBasis: null,
    tolerant: false,
    unread: false,
  });
});

test('a withheld caller is said with an empty number', () => {
  expect(parse({ callId: '1', callerNumber: '' }).callerNumber).toEqual({
    raw: '',
    kind: 'withheld',
    canonical: null,
  });
});

const wrong: Record<string, readonly unknown[]> = {
  callId: ['', 'x'.repeat(257), 'a\nb', 'a\0b', '\ud800', 1, null, ['a'], { toString: () => 'a' }],
  deliveryId: ['', 'x'.repeat(257), 'a\nb', 5],
  segment: [-1, 10_000, 1.5, '1', Number.NaN, null],
  careUnit: ['', 'x'.repeat(201), 'a\tb', 7],
  startedAt: [
    '',
    '2026-03-01',
    '2026-03-01T08:15:30',
    '2026-02-30T08:15:30Z',
    '2026-03-01T24:00:00Z',
    '2026-03-01T08:15:30+25:00',
    '1969-12-31T23:59:59Z',
    '2200-01-01T00:00:00Z',
    '2016-12-31T23:59:60Z',
    '2026-03-01T08:15:30Z[Europe/Stockholm]',
    'tomorrow',
    0,
  ],
  endedAt: ['x', 12],
  direction: ['', 'in', 'INBOUND', 'toString', 1],
  callerNumber: ['x'.repeat(129), 701_740_605, null],
  calledNumber: ['x'.repeat(129), {}],
  agentId: ['', 'x'.repeat(257), '\u0085'],
  queue: ['', 'x'.repeat(257), false],
  personalNumber: ['', '121212', '19121212-1213', '2'.repeat(33), 191_212_121_212],
  channels: [
    {},
    { 8: 'caller' },
    { 0: 'patient' },
    { a: 'caller' },
    { '01': 'caller' },
    ['caller'],
    'caller',
    null,
    JSON.parse('{"__proto__":"caller"}'),
  ],
  pauses: [
    [[1]],
    [[1, 2, 3]],
    [[2, 1]],
    [[1, 1]],
    [[-1, 1]],
    [[0, 172_800_001]],
    [[0.5, 1]],
    [['0', '1']],
    [1, 2],
    {},
    Array.from({ length: 501 }, () => [0, 1]),
  ],
  originalName: ['', 'x'.repeat(256), '\udfff', 5],
  announcement: ['', '1x', 'a b', 'x'.repeat(65), 'v20261101', 'v070-174-06-05', 3],
  retentionClass: ['short', 'hold', '', 'Journal', 1],
  legalBasis: ['care', '', 6],
};

describe('each field by itself', () => {
  test.each(Object.entries(wrong))('%s', (field, values) => {
    for (const value of values) {
      const faults = faultsOf(() => parse({ callId: 'c', [field]: value }));
      expect(Object.keys(faults)).toEqual([field]);
      expect(faults[field]).toMatch(/^(must|is) /);
    }
  });

  test('the table above covers every field', () => {
    expect(Object.keys(wrong)).toEqual(Object.keys(CallMetadataSchema.properties));
  });

  test('lengths count characters, not bytes or halves', () => {
    expect(parse({ callId: '🩺'.repeat(256) }).callId).toHaveLength(512);
    expect(refusedFields({ callId: '🩺'.repeat(257) })).toEqual(['callId']);
    // A family emoji is seven characters, however it looks.
    expect(refusedFields({ callId: '👨‍👩‍👧‍👦'.repeat(64) })).toEqual(['callId']);
  });

  test('bounds belong to the range', () => {
    expect(parse({ callId: 'x'.repeat(256), segment: 9999, pauses: [[0, 172_800_000]] }).segment).toBe(9999);
    expect(
      parse({ callId: '1', startedAt: '1970-01-01T00:00:00Z', endedAt: '2199-12-31T23:59:59Z' }).startedAt,
    ).toBe(0);
    expect(
      parse({ callId: '1', startedAt: '2026-03-01T08:00:00Z', endedAt: '2026-03-01T09:00:00+01:00' }).endedAt,
    ).toBe(Date.UTC(2026, 2, 1, 8));
  });

  test('an end before the start', () => {
    expect(
      faultsOf(() =>
        parse({ callId: '1', startedAt: '2026-03-01T08:00:01Z', endedAt: '2026-03-01T08:00:00Z' }),
      ),
    ).toEqual({
      endedAt: 'lies before the start of the call',
    });
  });
});

describe('what is not metadata', () => {
  test.each([null, undefined, 'x', 1, true, [], [{ callId: '1' }]])('%j', (input) => {
    expect(faultsOf(() => parse(input))).toEqual({ metadata: 'must be a JSON object' });
  });

  test('no call id', () => {
    expect(faultsOf(() => parse({}))).toEqual({ callId: 'is required' });
  });

  test('all faults at once, those of unknown fields too, twenty at most', () => {
    const input = { segment: -1, direction: 'up', personalNumber: '1', colour: 'red', startedAt: 'x' };
    expect(refusedFields(input)).toEqual([
      'segment',
      'direction',
      'colour',
      'startedAt',
      'callId',
      'personalNumber',
    ]);
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`f${i}`, i]));
    expect(errorOf(() => parse({ callId: '1', ...many })).extras.faults).toHaveLength(20);
  });
});

describe('unknown fields', () => {
  test('are named where the name is plain', () => {
    expect(faultsOf(() => parse({ callId: '1', caller_no: 1 }))).toEqual({
      caller_no: 'is not a known field',
    });
  });

  test.each(['0701740605', 'n0701740605', '070-174 06 05', 'a b', '<script>', '__proto__x', 'å', ''])(
    '%j is not repeated',
    (name) => {
      expect(faultsOf(() => parse({ callId: '1', [name]: 1 }))).toEqual({
        'an unknown field': 'is not a known field',
      });
    },
  );

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    '%s is a field like any other',
    (name) => {
      const input = JSON.parse(`{"callId":"1","${name}":{"polluted":true}}`);
      expect(Object.values(faultsOf(() => parse(input)))).toEqual(['is not a known field']);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    },
  );

  test('inherited fields do not count', () => {
    expect(faultsOf(() => parse(Object.create({ callId: '1' })))).toEqual({ callId: 'is required' });
  });
});

describe('JSON', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  test('in UTF-8', () => {
    expect(parseMetadataJson(bytes('{"callId":"å"}'), NOW).callId).toBe('å');
  });

  test.each(['', '{', 'callId=1', '{"callId":"0701740605"', '{"callId":\'0701740605\'}'])(
    '%j is none',
    (text) => {
      const error = errorOf(() => parseMetadataJson(bytes(text), NOW));
      expect(error.extras.faults).toEqual([{ where: 'metadata', fault: 'is not JSON in UTF-8' }]);
      expect(error.cause).toBeUndefined();
    },
  );

  test('not in latin-1', () => {
    expect(faultsOf(() => parseMetadataJson(Buffer.from('{"callId":"\xe5"}', 'latin1'), NOW))).toEqual({
      metadata: 'is not JSON in UTF-8',
    });
  });

  test('up to its limit', () => {
    const padded = (length: number) => bytes(`{"callId":"1"${' '.repeat(length - 14)}}`);
    expect(parseMetadataJson(padded(MAX_METADATA_BYTES), NOW).callId).toBe('1');
    expect(faultsOf(() => parseMetadataJson(padded(MAX_METADATA_BYTES + 1), NOW))).toEqual({
      metadata: 'is longer than 65536 bytes',
    });
  });
});

test('no refusal repeats what was sent', () => {
  const canary = '0701740605';
  const values = fc.constantFrom<unknown>(
    canary,
    `${canary}\n`,
    [canary],
    { [canary]: canary },
    [[canary, canary]],
    Number(canary),
  );
  const names = fc.constantFrom(...Object.keys(CallMetadataSchema.properties), canary, `x${canary}`, 'free');
  fc.assert(
    fc.property(fc.dictionary(names, values, { maxKeys: 8 }), (input) => {
      try {
        parse(input);
      } catch (error) {
        const said =
          JSON.stringify(error, ['message', 'extras', 'faults', 'where', 'fault', 'cause', 'code']) +
          (error as Error).message;
        expect(said).not.toMatch(/0?701740605/);
      }
    }),
    { numRuns: 1000 },
  );
});

test('any JSON is read or refused with a reason', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (input) => {
      try {
        expect(parse(input).callId).not.toBe('');
      } catch (error) {
        expect((error as AppError).code).toBe('not_acceptable_metadata');
        expect((error as AppError).extras.faults?.length).toBeGreaterThan(0);
      }
    }),
  );
});

test('a field that is named twice is refused by name, for two readers could read two values', () => {
  for (const text of ['{"callId":"1","callId":"2"}', '{"callId":"1","\\u0063allId":"1"}'])
    expect(() => parseMetadataJson(Buffer.from(text), NOW)).toThrow(
      expect.objectContaining({
        extras: expect.objectContaining({ faults: [{ where: 'callId', fault: 'is named twice' }] }),
      }),
    );
});
