import { expect, test } from 'vitest';
import {
  assertKnownVariables,
  callFields,
  judgeFields,
  readFields,
  readFieldsJson,
  readFieldsOf,
  variableOf,
} from '../../../src/agent/call-fields.ts';
import { metadataOfPut } from '../../../src/core/ingest-headers.ts';
import { CallMetadataSchema } from '../../../src/core/metadata-schema.ts';

const bytes = (value: unknown): Buffer =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

test('an agent knows the fields that a vault knows', () => {
  expect(callFields.toSorted()).toEqual(Object.keys(CallMetadataSchema.properties).toSorted());
  expect(variableOf('callerNumber')).toBe('CALLVAULT_CALLER_NUMBER');
});

test('lists and numbers become the text in which a vault reads them', () => {
  const fields = readFieldsJson(
    bytes({
      callId: 'c',
      segment: 3,
      channels: { 0: 'caller', 1: 'agent' },
      pauses: [
        [1_000, 2_500],
        [9_000, 9_001],
      ],
    }),
  );
  const read = metadataOfPut(
    'x',
    {
      'x-call-id': fields.callId,
      'x-call-segment': fields.segment,
      'x-call-channels': fields.channels,
      'x-call-pauses': fields.pauses,
    },
    0,
  );
  expect(read).toMatchObject({
    segment: 3,
    channels: { 0: 'caller', 1: 'agent' },
    pauses: [
      [1_000, 2_500],
      [9_000, 9_001],
    ],
  });
});

test.each<[string, unknown]>([
  ['no JSON', '{"callId":"0701740620"'],
  ['no object', ['0701740620']],
  ['null', null],
  ['bytes that are no UTF-8', '\xff'],
  ['a field from a prototype', '{"__proto__":"0701740620"}'],
  ['a field that is not known', { '0701740620': 'x' }],
  ['a list for a text', { callId: ['0701740620'] }],
  ['a line break, which would begin a header', { queue: '0701740620\nx-call-queue: y' }],
  ['half a character', { queue: '\ud800' }],
  ['channels with a gap', { channels: { 0: 'caller', 2: '0701740620' } }],
  ['channels with a comma', { channels: { 0: 'caller, agent' } }],
  ['pauses that are none', { pauses: [[1, 2, 3]] }],
  ['a text without end', { queue: 'x'.repeat(20_000) }],
  ['bytes without end', 'x'.repeat(70_000)],
])('%s: refused, and not repeated', (_, value) => {
  const read = () =>
    readFieldsJson(
      typeof value === 'string' && value.includes('\xff') ? Buffer.from(value, 'latin1') : bytes(value),
    );
  expect(read).toThrow(expect.objectContaining({ code: 'not_acceptable_metadata' }));
  expect(read).not.toThrow(/0701740620/);
});

test('absent, null and empty are the same; variables that are not of a call are not looked at', () => {
  expect(readFields({ queue: null, careUnit: '', agentId: 'a' })).toEqual({ agentId: 'a' });
  expect(
    readFieldsOf({ CALLVAULT_URL: 'x', CALLVAULT_QUEUE: 'Språk', CALLVAULT_CALL_ID: '', PATH: '/' }),
  ).toEqual({ queue: 'Språk' });
});

test.each<[string, Record<string, string>, RegExp]>([
  [
    'a number that is a word',
    { CALLVAULT_CALLER_NUMBER: 'notanumber' },
    /CALLVAULT_CALLER_NUMBER is no number/,
  ],
  [
    'an identity number that is none',
    { CALLVAULT_PERSONAL_NUMBER: '0701740605' },
    /CALLVAULT_PERSONAL_NUMBER/,
  ],
  ['a direction that is none', { CALLVAULT_DIRECTION: 'sideways' }, /CALLVAULT_DIRECTION/],
  ['a time that is none', { CALLVAULT_STARTED_AT: 'yesterday 0701740605' }, /CALLVAULT_STARTED_AT/],
  ['a segment that is none', { CALLVAULT_SEGMENT: '-1' }, /CALLVAULT_SEGMENT/],
  [
    'an end before the start',
    { CALLVAULT_STARTED_AT: '2026-03-01T08:00:00Z', CALLVAULT_ENDED_AT: '2026-03-01T07:00:00Z' },
    /CALLVAULT_ENDED_AT/,
  ],
])('%s in a variable: refused by the name of the variable', (_, environment, name) => {
  expect(() => readFieldsOf(environment)).toThrow(name);
  expect(() => readFieldsOf(environment)).not.toThrow(/0701740605|notanumber|sideways/);
});

test('what a telephony system may say is no slip', () => {
  for (const callerNumber of [
    'anonymous',
    'Okänd',
    '070-174 06 05',
    '600',
    '*9',
    '<sip:anna@example.se>',
    '+4670',
  ])
    expect(judgeFields({ callerNumber })).toEqual({ callerNumber });
  const startedAt = new Date(Date.now() + 3 * 86_400_000).toISOString();
  expect(judgeFields({ startedAt, channels: 'caller, agent', pauses: '1-2', segment: '3' })).toMatchObject({
    startedAt,
  });
});

test('a variable that nobody knows is refused, with the one that was meant', () => {
  expect(() => assertKnownVariables({ CALLVAULT_CALLERNUMBER: '1' })).toThrow(
    /^CALLVAULT_CALLERNUMBER is no variable that is known: write CALLVAULT_CALLER_NUMBER\.$/,
  );
  expect(() => assertKnownVariables({ CALLVAULT_COLOUR: '1' })).toThrow(
    /^CALLVAULT_COLOUR is no variable that is known\.$/,
  );
  expect(() => assertKnownVariables({ CALLVAULT_0701740605: '1' })).not.toThrow(/0701740605/);
  expect(() => assertKnownVariables({ CALLVAULT_0701740605: '1' })).toThrow(/CALLVAULT_/);
  assertKnownVariables({
    PATH: '/',
    CALLVAULT_URL: 'x',
    CALLVAULT_EDGE_KEY_FILE: 'x',
    CALLVAULT_FOLDER: 'x',
    CALLVAULT_LEGAL_BASIS: 'x',
  });
});
