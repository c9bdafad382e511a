import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLegacyNames, type LegacyName, legacyPatterns } from '../../../src/core/legacy-names.ts';

const parse = createLegacyNames({ timeZone: 'Europe/Stockholm' });

/** What a name says, less what it does not say; the time as people write it. */
const said = (name: string, read = parse): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(read(name) satisfies LegacyName)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, key === 'startedAt' ? new Date(value as number).toISOString() : value]),
  );

const AT = { startedAt: '2015-01-01T09:15:00.000Z', precision: 'second' };
const CALLER = { callerNumber: '0701740605' };

test.each<[string, Record<string, unknown>]>([
  [
    'external-102-0701740605-20150101-101500-1420107300.123.wav',
    {
      pattern: 'freepbx',
      ...AT,
      ...CALLER,
      calledNumber: '102',
      agentId: '102',
      direction: 'inbound',
      callId: '1420107300.123',
    },
  ],
  [
    '2015/01/01/in-0771117700-0701740605-20150101-101500-1420107300.7.WAV',
    {
      pattern: 'freepbx',
      ...AT,
      ...CALLER,
      calledNumber: '0771117700',
      direction: 'inbound',
      callId: '1420107300.7',
    },
  ],
  [
    'out-0701740605-102-20150101-101500-1420107300.123.wav',
    {
      pattern: 'freepbx',
      ...AT,
      callerNumber: '102',
      calledNumber: '0701740605',
      agentId: '102',
      direction: 'outbound',
      callId: '1420107300.123',
    },
  ],
  [
    'q-600-0701740605-20150101-101500-1420107300.123-in.wav',
    {
      pattern: 'freepbx',
      ...AT,
      ...CALLER,
      calledNumber: '600',
      queue: '600',
      direction: 'inbound',
      callId: '1420107300.123',
    },
  ],
  [
    'rg-600-anonymous-20150101-101500-1420107300.123.mp3',
    {
      pattern: 'freepbx',
      ...AT,
      callerNumber: 'anonymous',
      calledNumber: '600',
      queue: '600',
      direction: 'inbound',
      callId: '1420107300.123',
    },
  ],
  [
    'exten-102-101-20150101-101500-1420107300.123',
    {
      pattern: 'freepbx',
      ...AT,
      callerNumber: '101',
      calledNumber: '102',
      agentId: '102',
      direction: 'internal',
      callId: '1420107300.123',
    },
  ],
  [
    'force-0701740605-070-1740606-20150101-101500-1420107300.123.wav',
    {
      pattern: 'freepbx',
      ...AT,
      callerNumber: '070-1740606',
      calledNumber: '0701740605',
      callId: '1420107300.123',
    },
  ],
  [
    'OUT102-20150101-101500-1420107300.123.wav',
    { pattern: 'asterisk', ...AT, agentId: '102', direction: 'outbound', callId: '1420107300.123' },
  ],
  [
    'q600-20150101-101500-1420107300.123.wav',
    { pattern: 'asterisk', ...AT, queue: '600', direction: 'inbound', callId: '1420107300.123' },
  ],
  [
    '0701740605-102-20150101-101500-1420107300.123.wav',
    { pattern: 'asterisk', ...AT, ...CALLER, calledNumber: '102', callId: '1420107300.123' },
  ],
  ['20150101-101500-1420107300.123.wav', { pattern: 'asterisk', ...AT, callId: '1420107300.123' }],
  [
    '1420107300.123.gsm',
    {
      pattern: 'asterisk',
      startedAt: '2015-01-01T10:15:00.000Z',
      precision: 'second',
      callId: '1420107300.123',
    },
  ],
  // The legs of MixMonitor's r() and t(), and of Monitor: one call, and which leg it is says nothing of who called.
  ...['-in', '-out', ''].map((leg): [string, Record<string, unknown>] => [
    `pbx01-1420107300.123${leg}.wav`,
    {
      pattern: 'asterisk',
      startedAt: '2015-01-01T10:15:00.000Z',
      precision: 'second',
      callId: 'pbx01-1420107300.123',
    },
  ]),
  ...['-in', '-out'].map((leg): [string, Record<string, unknown>] => [
    `1420107300.123${leg}.wav`,
    {
      pattern: 'asterisk',
      startedAt: '2015-01-01T10:15:00.000Z',
      precision: 'second',
      callId: '1420107300.123',
    },
  ]),
  [
    'pbx-gbg-01.example.se-1420107300.123-in.wav',
    {
      pattern: 'asterisk',
      startedAt: '2015-01-01T10:15:00.000Z',
      precision: 'second',
      callId: 'pbx-gbg-01.example.se-1420107300.123',
    },
  ],
  [
    'external-102-0701740605-20150101-101500-pbx01-1420107300.123-out.wav',
    {
      pattern: 'freepbx',
      ...AT,
      ...CALLER,
      calledNumber: '102',
      agentId: '102',
      direction: 'inbound',
      callId: 'pbx01-1420107300.123',
    },
  ],
  [
    '20150101-101500-pbx01-1420107300.123.wav',
    { pattern: 'asterisk', ...AT, callId: 'pbx01-1420107300.123' },
  ],
  // A number before the unique id is one; the id itself is none, and neither is its leg a direction.
  ...[
    '0701740605-1420107300.123.wav',
    '0701740605-1420107300.123-out.wav',
    'Anna 0701740605 1420107300.123-in.wav',
  ].map((name): [string, Record<string, unknown>] => [
    name,
    {
      pattern: 'number',
      startedAt: '2015-01-01T10:15:00.000Z',
      precision: 'second',
      ...CALLER,
      callId: '1420107300.123',
    },
  ]),
  [
    'out-0701740605-1420107300.123-in.wav',
    {
      pattern: 'number',
      startedAt: '2015-01-01T10:15:00.000Z',
      precision: 'second',
      calledNumber: '0701740605',
      direction: 'outbound',
      callId: '1420107300.123',
    },
  ],
  // A number with the sequence of a copy behind it is no unique id.
  ['0701740605.1.wav', { pattern: 'number', ...CALLER }],
  ['0701740605-1.wav', { pattern: 'number', ...CALLER }],
  ['102-0701740605.wav', { pattern: 'number', ...CALLER }],
  ['A0701740605_B0771117700.wav', { pattern: 'number', ...CALLER, calledNumber: '0771117700' }],
  ['OUT0701740605.wav', { pattern: 'number', ...CALLER }],
  // Digits that happen to stand in hexadecimal ones are nobody's number.
  ['call-0123456789abcdef-000102-0.wav', { pattern: 'none' }],
  ['call-abcdef0701740605-000102-0.wav', { pattern: 'none' }],
  ['5f2c0701740605aa.wav', { pattern: 'none' }],
  ['DEADBEEF0701740605.wav', { pattern: 'none' }],
  ['rec_6f1a0dd4-1234-4567-8901-070174060512_0.wav', { pattern: 'none' }],
  ['6f1a0dd4-9a66-4c0f-8b26-7b0c54c9a6ea 0701740605.wav', { pattern: 'number', ...CALLER }],
  [
    'archive/2015/Jan/01/6F1A0DD4-9A66-4C0F-8B26-7B0C54C9A6EA.wav',
    {
      pattern: 'fusionpbx',
      startedAt: '2014-12-31T23:00:00.000Z',
      precision: 'day',
      callId: '6f1a0dd4-9a66-4c0f-8b26-7b0c54c9a6ea',
    },
  ],
  [
    '6f1a0dd4-9a66-4c0f-8b26-7b0c54c9a6ea.mp3',
    { pattern: 'fusionpbx', callId: '6f1a0dd4-9a66-4c0f-8b26-7b0c54c9a6ea' },
  ],
  ['0701740605%4010.0.0.1-5e1f0badcafe0123-mix.wav', { pattern: 'rtpengine', callId: '0701740605@10.0.0.1' }],
  ['a84b-4c7-5e1f0badcafe0123-0000abcd.wav', { pattern: 'rtpengine', callId: 'a84b-4c7' }],
  ['%zz-5e1f0badcafe0123-mix.wav', { pattern: 'rtpengine' }],
  ['2015/01/01/10/20150101_101500_VFR.gsm', { pattern: 'oreka', ...AT, callId: '20150101_101500_VFR' }],
  [
    'trunk1_150101_101500_AI_anna_0771117700_0701740605_A17_10.0.0.5.mp3',
    {
      pattern: 'telesis',
      ...AT,
      ...CALLER,
      calledNumber: '0771117700',
      agentId: 'anna',
      callId: 'A17',
      direction: 'inbound',
    },
  ],
  [
    't_150101_101500_AO_anna_0701740605___10.0.0.5.mp3',
    { pattern: 'telesis', ...AT, calledNumber: '0701740605', agentId: 'anna', direction: 'outbound' },
  ],
  ['0701740605_20150101_101500.wav', { pattern: 'number', ...AT, ...CALLER }],
  ['20150101_101500_0701740605.mp3', { pattern: 'number', ...AT, ...CALLER }],
  [
    '2015-01-01 10.15.00 +46701740605 0771117700.mp3',
    { pattern: 'number', ...AT, callerNumber: '+46701740605', calledNumber: '0771117700' },
  ],
  ['20150101101500-070-174 06 05.wav', { pattern: 'number', ...AT, callerNumber: '070-174 06 05' }],
  [
    '20150101_0701740605.wav',
    { pattern: 'number', startedAt: '2014-12-31T23:00:00.000Z', precision: 'day', ...CALLER },
  ],
  [
    'utgående_0701740605_20150101_1015.wav',
    { pattern: 'number', ...AT, calledNumber: '0701740605', direction: 'outbound' },
  ],
  ['Anna 0701740605.wav', { pattern: 'number', ...CALLER }],
  ['20150101101500.wav', { pattern: 'dated', ...AT }],
  ['möte.wav', { pattern: 'none' }],
  ['', { pattern: 'none' }],
  ['20151301_256199_VFR.wav', { pattern: 'oreka', callId: '20151301_256199_VFR' }],
  ['20150229-101500-1425204900.1.wav', { pattern: 'asterisk', callId: '1425204900.1' }],
])('%s', (name, expected) => {
  expect(said(name)).toEqual(expected);
});

describe('a pattern of the operator', () => {
  const read = createLegacyNames({
    timeZone: 'Europe/Helsinki',
    custom: (path) =>
      /^(?<unit>[^/]+)\/(?<date>\d{6})(?<time>\d{4})-(?<direction>[io])-(?<caller>\d+)/.exec(path)?.groups ??
      null,
  });
  test('comes first, and what it does not know goes to the others', () => {
    expect(said('Barnmottagning/1501011015-i-0701740605.wav', read)).toEqual({
      pattern: 'custom',
      startedAt: '2015-01-01T08:15:00.000Z',
      precision: 'second',
      careUnit: 'Barnmottagning',
      direction: 'inbound',
      ...CALLER,
    });
    expect(said('20150101101500.wav', read)).toMatchObject({
      pattern: 'dated',
      startedAt: '2015-01-01T08:15:00.000Z',
    });
  });
  test('what its groups hold is bounded and free of control characters', () => {
    const hostile = createLegacyNames({
      timeZone: 'UTC',
      custom: () => ({
        callId: 'a\nb',
        caller: 'x'.repeat(1000),
        agent: '',
        epoch: '99999999999999',
        date: 'x',
        time: 'y',
      }),
    });
    expect(said('x', hostile)).toEqual({ pattern: 'custom' });
  });
});

describe('the two nights of a year', () => {
  test.each([
    // 25 October 2015, 02:30 happens twice: at 00:30 and at 01:30 UTC.
    ['20151025_023000_VFR.wav', '2015-10-25T00:30:00.000Z'],
    ['20151025-023000-1445736600.1.wav', '2015-10-25T01:30:00.000Z'],
    ['20151025-023000-1445733000.1.wav', '2015-10-25T00:30:00.000Z'],
    ['20151025_013000_VFR.wav', '2015-10-24T23:30:00.000Z'],
    ['20151025_033000_VFR.wav', '2015-10-25T02:30:00.000Z'],
    // 29 March 2015 has no 02:30.
    ['20150329_023000_VFR.wav', '2015-03-29T01:30:00.000Z'],
    ['20150329_013000_VFR.wav', '2015-03-29T00:30:00.000Z'],
    ['20150329_033000_VFR.wav', '2015-03-29T01:30:00.000Z'],
  ])('%s is %s', (name, at) => {
    expect(new Date(parse(name).startedAt ?? 0).toISOString()).toBe(at);
  });
});

describe('names that mean harm', () => {
  const anyName = fc.oneof(
    fc.string({ maxLength: 300, unit: 'binary' }),
    fc.string({
      maxLength: 300,
      unit: fc.constantFrom('0', '1', '2', '9', '-', '_', '.', '/', 'A', 'I', '+', ' ', 'q'),
    }),
  );
  test('nothing is thrown, and everything is bounded text', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        const { pattern, startedAt, precision, ...texts } = parse(name);
        if (!legacyPatterns.includes(pattern) || (startedAt === null) !== (precision === null)) return false;
        if (startedAt !== null && !(startedAt >= -86_400_000 && startedAt < Date.UTC(2200, 0, 2)))
          return false;
        return Object.values(texts).every(
          (value) => value === null || (value.length > 0 && value.length <= 255 && !/\p{Cc}/u.test(value)),
        );
      }),
      { numRuns: 3000 },
    );
  });
  test.each([
    ['digits', '1'.repeat(4096)],
    ['digits and dashes', '1-'.repeat(127)],
    ['dashes', '-'.repeat(255)],
    ['a date again and again', '20150101'.repeat(31)],
    ['underscores', '_'.repeat(255)],
    ['hexadecimal digits', '0a'.repeat(127)],
    ['a system without an end', `${'a-'.repeat(120)}1420107300.`],
    ['unique ids again and again', '1420107300.1-'.repeat(19)],
    ['an endless path', `${'a/'.repeat(100_000)}b`],
    ['a head without an end', `${'a'.repeat(200)}-20150101-101500-1420107300.`],
  ])('%s: read in no time', (_what, name) => {
    const from = performance.now();
    for (let i = 0; i < 100; i += 1) parse(name);
    // A hundred names; a pattern that goes back and forth takes minutes for one.
    expect(performance.now() - from).toBeLessThan(2_000);
  });
});

describe('identity numbers and days that are none', () => {
  const person = (twelve: string) => ({ pattern: 'number', personalNumber: twelve });
  test.each<[string, Record<string, unknown>]>([
    ['191212121212.wav', person('191212121212')],
    ['19121212-1212.wav', person('191212121212')],
    ['19121212-1212_0701740605_20150101_1015.wav', { ...person('191212121212'), ...AT, ...CALLER }],
    ['121212-1212_0701740605_20150101_1015.wav', { ...person('201212121212'), ...AT, ...CALLER }],
    ['20121212-1212_0701740605_20150101_1015.wav', { ...person('201212121212'), ...AT, ...CALLER }],
    // A wrong check digit, a day to come, ten digits as they are dialled.
    ['19121212-1213_20150101_1015.wav', { pattern: 'dated', ...AT }],
    ['0701740605_20150101_1015.wav', { pattern: 'number', ...AT, ...CALLER }],
    // Could be a minute of a day, and no other time is told.
    [
      '20121212-1212_0701740605.wav',
      { pattern: 'number', ...CALLER, startedAt: '2012-12-12T11:12:00.000Z', precision: 'second' },
    ],
    ['0701740605_99991231_1015.wav', { pattern: 'number', ...CALLER }],
    ['0701740605_19850101_1015.wav', { pattern: 'number', ...CALLER }],
  ])('%s', (name, expected) => {
    const read = createLegacyNames({ timeZone: 'Europe/Stockholm', now: () => Date.UTC(2026, 0) });
    expect(said(name, read)).toEqual(expected);
  });

  test('one that a pattern of the operator’s finds is taken when it is one', () => {
    const read = (personal: string) =>
      createLegacyNames({ timeZone: 'Europe/Stockholm', custom: () => ({ personal }) })('x.wav')
        .personalNumber;
    expect([read('19121212-1212'), read('19121212-1213'), read('')]).toEqual(['191212121212', null, null]);
  });
});
