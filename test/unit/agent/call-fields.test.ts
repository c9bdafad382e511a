import { expect, test } from 'vitest';
import {
  callFields,
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
