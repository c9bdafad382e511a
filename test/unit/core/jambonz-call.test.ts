import { expect, test } from 'vitest';
import { callOfJambonz } from '../../../src/core/jambonz-call.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const opening = { callSid: 'c-1', sampleRate: 8000, mixType: 'stereo' };
const call = (about: object) =>
  callOfJambonz(Buffer.from(JSON.stringify({ ...opening, ...about })), 'r-1', NOW);

/** The call is under way and will not come again: a word that cannot be used must not cost it. */
test.each<[string, object]>([
  ['a direction that is none', { direction: 'sideways' }],
  ['a direction that is no text', { direction: { of: 'inbound' } }],
  ['an odd identity number', { personalNumber: '19121212-1213' }],
  ['an identity number as a number', { personalNumber: 191212121212 }],
  ['a queue that is no text', { queue: ['advice'] }],
  ['an agent of a thousand characters', { agentId: 'a'.repeat(1000) }],
  ['control characters', { careUnit: 'Advice\u0000line' }],
  ['half a character', { queue: '\ud800' }],
  ['a number of a thousand characters', { from: '7'.repeat(1000) }],
  ['half a character in a number', { to: '\udc00' }],
])('%s is left out, and the rest kept', (_what, about) => {
  const said = { direction: 'inbound', from: '0701740605', to: '1177', agentId: 'a-7', queue: 'advice' };
  const { metadata, mediaType, announced } = call({ ...said, ...about });
  const [name = ''] = Object.keys(about);
  const field = { from: 'callerNumber', to: 'calledNumber' }[name] ?? name;
  expect(metadata).toMatchObject({ callId: 'c-1', unread: true, tolerant: true, [field]: null });
  const kept = [
    metadata.direction,
    metadata.callerNumber,
    metadata.calledNumber,
    metadata.agentId,
    metadata.queue,
  ];
  expect(kept.filter((value) => value !== null)).toHaveLength(field in said || name in said ? 4 : 5);
  expect(mediaType).toBe('audio/x-slin;rate=8000;channels=2');
  // The radar hears of the call all the same.
  expect(announced(NOW + 1000)).toMatchObject({ callId: 'c-1', endedAt: NOW + 1000 });
});

test('what is absent, empty or null was not said, and what applications add is theirs', () => {
  const { metadata } = call({ from: '', to: null, direction: undefined, customerData: { queue: 7 } });
  expect(metadata).toMatchObject({ unread: false, tolerant: true, callerNumber: null, calledNumber: null });
});

test.each<[string, object]>([
  ['no call', { callSid: undefined }],
  ['a call that is no text', { callSid: 7 }],
  ['a call with control characters', { callSid: 'c\u00001' }],
  ['no rate', { sampleRate: undefined }],
  ['a mix that is not known', { mixType: 'quadro' }],
])('%s has no true beginning, and is refused', (_what, about) => {
  expect(() => call(about)).toThrow(expect.objectContaining({ code: 'not_acceptable_metadata' }));
});
