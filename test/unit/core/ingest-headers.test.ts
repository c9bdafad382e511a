import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { AppError } from '../../../src/core/errors.ts';
import { assertOpaqueName, type IngestHeaders, metadataOfPut } from '../../../src/core/ingest-headers.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const UUID = '3f0c1f5e-5e1a-4c8b-9b60-0b7c2a1d9e44';
const read = (headers: IngestHeaders = {}, name = UUID) => metadataOfPut(name, headers, NOW);
/** A header as Node hands it over: the bytes of UTF-8, each as one character. */
const received = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const refusal = (run: () => unknown): { code: string; faults: Record<string, string> } => {
  try {
    run();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const faults = (error.extras.faults ?? []).map(({ where, fault }) => [where, fault] as const);
    return { code: error.code, faults: Object.fromEntries(faults) };
  }
  throw new Error('nothing was refused');
};

test('every field has its header', () => {
  const headers = {
    'x-call-id': 'leg-7',
    'x-call-segment': '3',
    'x-call-care-unit': received('Öronmottagningen'),
    'x-call-started-at': ['2026-03-01T08:15:30+01:00'],
    'x-call-ended-at': '2026-03-01T08:20:00+01:00',
    'x-call-direction': 'outbound',
    'x-call-caller-number': '08-465 004 01',
    'x-call-called-number': '+46701740605',
    'x-call-agent-id': 'agent-9',
    'x-call-queue': ' kö ',
    'x-call-personal-number': '19121212-1212',
    'x-call-channels': 'caller, agent',
    'x-call-pauses': '1000-2500, 9000-12000',
    'x-call-original-name': 'q_0701740605.wav',
    'x-call-announcement': 'v1',
    'x-call-retention-class': 'complaint',
    'x-call-legal-basis': 'legal_obligation',
    'content-type': 'audio/wav',
    'x-other': 'ignored',
  };
  expect(read({ ...headers, 'x-call-queue': received(' kö ') })).toMatchObject({
    callId: 'leg-7',
    segment: 3,
    careUnit: 'Öronmottagningen',
    startedAt: Date.UTC(2026, 2, 1, 7, 15, 30),
    direction: 'outbound',
    callerNumber: { canonical: '+46846500401' },
    calledNumber: { canonical: '+46701740605' },
    agentId: 'agent-9',
    queue: 'kö',
    personalNumber: '191212121212',
    channels: { 0: 'caller', 1: 'agent' },
    pauses: [
      [1000, 2500],
      [9000, 12_000],
    ],
    originalName: 'q_0701740605.wav',
    announcement: 'v1',
    retentionClass: 'complaint',
    legalBasis: 'legal_obligation',
  });
});

describe('the name stands for a missing call id', () => {
  test.each([
    [UUID, UUID],
    [`${UUID}.wav`, UUID],
    ['leg-7.a.mp3', 'leg-7.a'],
    ['.wav', '.wav'],
  ])('%s', (name, callId) => {
    expect(read({}, name).callId).toBe(callId);
    expect(read({ 'x-call-id': '' }, name).callId).toBe(callId);
  });
});

describe('what cannot be read', () => {
  test.each([
    ['x-call-segment', '1e3'],
    ['x-call-segment', '-1'],
    ['x-call-segment', '99999'],
    ['x-call-channels', 'caller,patient'],
    ['x-call-channels', 'a,a,a,a,a,a,a,a,a'],
    ['x-call-pauses', '1000'],
    ['x-call-pauses', '1-2-3'],
    ['x-call-pauses', '9000000000-1'],
    ['x-call-pauses', '2500-1000'],
    ['x-call-direction', 'sideways'],
    ['x-call-id', '\xff\xfe'],
    ['x-call-queue', '\xe5'],
    ['x-call-started-at', 'yesterday'],
  ])('%s: %s', (header, value) => {
    const { code, faults } = refusal(() => read({ [header]: value }));
    expect(code).toBe('not_acceptable_metadata');
    expect(Object.keys(faults)).toEqual([header]);
  });

  test('a header that came twice is not joined', () => {
    expect(Object.keys(refusal(() => read({ 'x-call-id': ['a', 'b'] })).faults)).toEqual(['x-call-id']);
    expect(read({ 'x-call-id': ['a'], 'x-call-queue': [], 'x-call-agent-id': undefined })).toMatchObject({
      callId: 'a',
      queue: null,
    });
  });

  test('what is wrong with a header is said, for all of them at once', () => {
    const headers = {
      'x-call-queue': '\xe5',
      'x-call-agent-id': ['a', 'b'],
      'x-call-direction': 'sideways',
      'x-call-colour': 'red',
    };
    expect(refusal(() => read(headers)).faults).toEqual({
      'x-call-queue': 'is not in UTF-8, in which headers of a call are sent',
      'x-call-agent-id': 'is sent more than once',
      'x-call-direction': 'must be one of inbound, outbound, internal',
      'x-call-colour': 'is not a known field',
    });
  });

  test('an unknown X-Call header is named where its name is plain', () => {
    expect(refusal(() => read({ 'x-call-colour': 'red' })).faults).toEqual({
      'x-call-colour': 'is not a known field',
    });
    expect(refusal(() => read({ 'x-call-0701740605': 'x' })).faults).toEqual({
      'an unknown field': 'is not a known field',
    });
    expect(refusal(() => read({ 'x-call-__proto__': 'x' })).faults).toEqual({
      'x-call-__proto__': 'is not a known field',
    });
    expect(refusal(() => read({ 'x-call-call-id': 'x' })).faults).toEqual({
      'x-call-call-id': 'is not a known field',
    });
    expect(refusal(() => read({ 'x-call-colour': ['a', 'b'] })).faults).toEqual({
      'x-call-colour': 'is not a known field',
    });
  });
});

describe('names', () => {
  test.each([
    UUID,
    UUID.toUpperCase(),
    `${UUID}.wav`,
    'call.wav',
    'demo-12345.mp3',
    'q 1 2 3',
    '2026-03-01.wav',
  ])('%s is opaque', (name) => {
    expect(() => assertOpaqueName(name)).not.toThrow();
  });

  test.each([
    '0701740605',
    'call_0701740605.wav',
    '123456',
    '070-174-06-05.wav',
    '+46 70 174 06 05',
    '19121212-1212',
    '٠٧٠١٧٤',
    `${UUID}-123456`,
    `${UUID}.wav/123456`.replace('/', '.'),
  ])('%s may hold a number', (name) => {
    expect(refusal(() => read({}, name)).code).toBe('number_in_name');
    expect(() => assertOpaqueName(name)).toThrow(/X-Call-Caller-Number/);
  });

  test.each(['', 'a/b', 'a\\b', 'a\nb', '\ud800', 'x'.repeat(129)])('%j is no name', (name) => {
    expect(refusal(() => assertOpaqueName(name)).code).toBe('invalid_request');
  });
});

const isOpaque = (name: string): boolean => {
  try {
    assertOpaqueName(name);
    return true;
  } catch {
    return false;
  }
};

/** The same hex digits on every run, as random as any. */
const hexDigits = (round: number): string => createHash('md5').update(`name ${round}`).digest('hex');
const uuidOf = (hex: string): string => hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

describe('ids of 16 and 24 hex digits', () => {
  const shapes = ['S', 'S.wav', 'rec_S.wav', 'S-1', '2026-03-01_S'];

  test.each([16, 24])('of %i: hardly one is refused by chance', (digits) => {
    let refused = 0;
    const rounds = 4000;
    for (let round = 0; round < rounds; round += 1) {
      const name = shapes[round % shapes.length]?.replace('S', hexDigits(round).slice(0, digits)) ?? '';
      if (!isOpaque(name)) refused += 1;
    }
    // Without them being known it is more than a quarter.
    expect(refused / rounds).toBeLessThan(0.012);
  });

  test.each([
    '0701740605abcdef',
    'abcdef0701740605',
    'abc0701740605def.wav',
    '0701740605a1b2c3',
    'a1b2c30701740605',
    'A1B2C30701740605',
    '46701740605abcd1',
    'rec_0046701740605a1b.wav',
    '191212121212abcd',
    '1212121212a1b2c3',
    '1212721212b2c3d4',
    'a1b2c31212721212',
    '0701740605a1b2c3d4e5f6a1',
    'a1b2c3d4e5f6a10701740605',
    'deadbeef0701740605deadbe',
    '1234567890123456',
    '0000000701740605',
    '000000000000000701740605',
    'deadbeefdeadbeefdeadbe0701740605',
    '0701740605deadbeefdeadbeefdeadbe',
    'f3a90b7e12c4d8560701740605',
    '07017406050701740605abcd',
  ])('%s is a number in disguise', (name) => {
    expect(isOpaque(name)).toBe(false);
  });

  test.each([
    '507f1f77bcf86cd799439011',
    '65a3f0c2e4b0d1a2b3c4d5e6.wav',
    '4bf92f3577b34da6',
    '00f067aa0ba902b7.mp3',
    '9a123456b7c8d9e0',
  ])('%s is opaque', (name) => {
    expect(isOpaque(name)).toBe(true);
  });

  test('what is longer or shorter, or grown together with other digits, is none', () => {
    for (const name of ['9a123456b7c8d9e', '9a123456b7c8d9e01', 'x9a123456b7c8d9e0', '9a123456b7c8d9e0å'])
      expect(isOpaque(name)).toBe(false);
  });
});

describe('digits in names', () => {
  test.each(
    [
      [
        'call-U',
        'U_1.wav',
        'rec_U.wav',
        'recU',
        'U-in.wav',
        'U.part1.wav',
        'U_U',
        'UU',
        'a 12U34',
        'U-12345',
      ],
      ['H', 'H.wav', 'rec_H.wav', 'recH.wav', 'H-1', 'H_H', 'HH', 'out-HH.1', '2026-03-01_10-15-59_U'],
    ].flat(),
  )('a name of the shape %s is opaque whatever its digits are', (shape) => {
    for (let round = 0; round < 500; round += 1) {
      const hex = hexDigits(round);
      const name = shape.replaceAll('U', uuidOf(hex)).replaceAll('H', hex);
      expect(() => assertOpaqueName(name), name).not.toThrow();
    }
  });

  test.each([
    '0701740605-U',
    'U_0701740605',
    'H.070174',
    '0701740605U',
    '0701740605H',
    'U1234567',
    'U 46 70 17',
  ])('a number beside it in the shape %s is found whatever its digits are', (shape) => {
    for (let round = 0; round < 500; round += 1) {
      const hex = hexDigits(round);
      const name = shape.replaceAll('U', uuidOf(hex)).replaceAll('H', hex);
      expect(() => assertOpaqueName(name), name).toThrow(/may hold a number/);
    }
  });

  test.each([
    '07017406-0512-4000-8000-123456789012',
    'call-07017406-0512-4000-8000-123456789012.wav',
    '00000000000000000000000701740605',
    '4 67 200 999 8877.wav',
    '4.67.200.999.8877',
    '[46](72)00-99',
    '46_72_00',
    '4–6–7–2–0–0',
    '2012-12-12-1212',
    '2012-12-12+1212',
    '1912-12-12.wav',
    '2026-13-45.wav',
  ])('%s may hold a number, for all its disguise', (name) => {
    expect(() => assertOpaqueName(name)).toThrow(/may hold a number/);
  });

  test.each(['2026-03-01_23-59-59.wav', 'kö-2026.03.01 10:15.wav', 'call-12-2026_03_01'])(
    '%s is a time and no number',
    (name) => {
      expect(() => assertOpaqueName(name)).not.toThrow();
    },
  );

  test('the refusal does not repeat the name', () => {
    expect(() => assertOpaqueName('0701740605')).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/0701740605/) }),
    );
  });
});
