import { expect, test } from 'vitest';
import { metadataOfRtpengine } from '../../../src/core/rtpengine-headers.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const known = {
  'x-recording-call-id': ['c-1@10.0.0.1'],
  'x-recording-file-name': ['c-1-mix.wav'],
  'x-recording-kind': ['mixed'],
  'x-recording-stream-start-time': ['1763629200.250000'],
};
/** As Node has headers: bytes as latin-1. */
const read = (metadata: string, more: Readonly<Record<string, readonly string[]>> = {}) =>
  metadataOfRtpengine({ ...known, 'x-recording-call-metadata': [metadata], ...more }, NOW);
const utf8 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const SAID = 'callerNumber:0701740605|agentId:a-7';

/** Free text that whoever started the recording wrote: the daemon has the file, and cannot put a word of it right. */
test.each<[string, string]>([
  ['a direction that is none', 'direction:sideways'],
  ['an odd identity number', 'personalNumber:19121212-1213'],
  ['one latin-1 byte', 'queue:R\u00e5dgivning'],
  ['a name in latin-1', 'r\u00e5d:x'],
  ['a called number of a thousand characters', `calledNumber:${'7'.repeat(1000)}`],
  ['a queue of a thousand characters', `queue:${'q'.repeat(1000)}`],
  ['a control character', 'careUnit:Advice\u0007line'],
  ['an overlong form of a letter', 'queue:\u00c1\u0081'],
])('%s is left out, and the rest kept', (_what, pair) => {
  for (const text of [`${pair}|${SAID}`, `${SAID}|${pair}`]) {
    const metadata = read(text);
    expect(metadata).toMatchObject({ callId: 'c-1@10.0.0.1', agentId: 'a-7', unread: true, tolerant: true });
    expect(metadata.callerNumber?.raw).toBe('0701740605');
    const { direction, personalNumber, queue, calledNumber, careUnit } = metadata;
    expect({ direction, personalNumber, queue, calledNumber, careUnit }).toEqual({
      direction: null,
      personalNumber: null,
      queue: null,
      calledNumber: null,
      careUnit: null,
    });
  }
});

test('metadata that came twice says nothing for certain: left out, and the recording kept', () => {
  const metadata = read(SAID, { 'x-recording-tag-metadata': ['queue:a', 'queue:b'] });
  expect(metadata).toMatchObject({ agentId: 'a-7', queue: null, unread: true });
});

test('an end before the beginning, by a clock that was set back, is left out', () => {
  const metadata = read(SAID, { 'x-recording-stream-end-time': ['1763629100.000000'] });
  expect(metadata).toMatchObject({
    startedAt: 1_763_629_200_250,
    endedAt: null,
    agentId: 'a-7',
    unread: true,
  });
});

test('what is readable is read, in UTF-8, and other words are passed over without a flag', () => {
  const metadata = read(utf8('queue:Rådgivning|tenant:x:y|0701740605||direction: inbound '));
  expect(metadata).toMatchObject({
    queue: 'Rådgivning',
    direction: 'inbound',
    unread: false,
    tolerant: true,
  });
});

test.each<[string, Readonly<Record<string, readonly string[]>>]>([
  ['no call id', { 'x-recording-call-id': [''] }],
  ['a call id twice', { 'x-recording-call-id': ['a', 'b'] }],
  ['a call id in no UTF-8', { 'x-recording-call-id': ['c\u00ff'] }],
  ['a call id with a control character', { 'x-recording-call-id': ['c\u0001'] }],
  ['no name of a file', { 'x-recording-file-name': [''] }],
  ['a kind in no UTF-8', { 'x-recording-kind': ['\u00ff'] }],
  ['a time that is none', { 'x-recording-stream-start-time': ['yesterday'] }],
  ['a start in a hundred years', { 'x-recording-stream-start-time': ['4900000000.0'] }],
])('%s: what tells the recording apart is not guessed at', (_what, more) => {
  expect(() => read(SAID, more)).toThrow(expect.objectContaining({ code: 'not_acceptable_metadata' }));
});
