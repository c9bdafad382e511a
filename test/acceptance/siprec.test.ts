import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { type FormPart, formOf, jsonOf, type Reply } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';

/** Recording metadata of SIPREC beside the audio, as a recorder behind a session border controller has both. */
let scene: Awaited<ReturnType<typeof startScene>>;
let seed = 7_400;
beforeAll(async () => {
  scene = await startScene();
});
afterAll(() => scene?.close());

const document = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/siprec/${name}.xml`, import.meta.url));
const siprec = (content: Buffer | string): FormPart => ({
  name: 'siprec',
  content,
  type: 'application/rs-metadata+xml',
});
const metadata = (content: object): FormPart => ({
  name: 'metadata',
  content: JSON.stringify(content),
  type: 'application/json',
});
const audio = (): FormPart => {
  seed += 1;
  return { name: 'audio', content: generatedCall(2, seed), filename: 'audio', type: 'audio/wav' };
};
const deliver = (...parts: readonly FormPart[]): Promise<Reply> =>
  scene.http.post('/v1/recordings', { token: scene.home.source.apiKey, form: formOf(parts) });
const factsOf = async (reply: Reply): Promise<Record<string, unknown>> => {
  const { id } = jsonOf<{ id: string }>(reply, 201);
  return jsonOf(await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() }), 200);
};

test('the recording metadata alone says who, whom and when', async () => {
  expect(await factsOf(await deliver(siprec(document('ribbon')), audio()))).toMatchObject({
    callId: '5be1d2b6-0c75-4d0f-9a7c-4b8c6f7f8a11',
    callerNumber: '0701740607',
    calledNumber: '084650040',
    startedAt: '2026-03-01T07:15:30.000Z',
  });
});

test('the metadata holds where both speak, and says what the other has no word for', async () => {
  const own = { callId: 'own-id', direction: 'inbound', startedAt: '2026-03-01T08:15:30+01:00' };
  const reply = await deliver(metadata(own), siprec(document('oracle')), audio());
  expect(await factsOf(reply)).toMatchObject({
    callId: 'own-id',
    direction: 'inbound',
    callerNumber: '0701740606',
    calledNumber: '4010',
    startedAt: '2026-03-01T07:15:30.000Z',
  });
  // Two streams are named, and this is a mix of both: told, unless the metadata says so itself.
  expect(jsonOf<{ flags: string[] }>(reply, 201).flags).toEqual(['channels_beyond']);
  const mixed = metadata({ ...own, callId: 'mixed-id', channels: { 0: 'mixed' } });
  const again = await deliver(mixed, siprec(document('oracle')), audio());
  expect(jsonOf<{ flags: string[] }>(again, 201).flags).toEqual([]);
});

test('another file of the same session: a conflict, unless it is counted or has an id of its own', async () => {
  const xml = siprec(
    document('ribbon').toString('utf8').replaceAll('5be1d2b6-0c75-4d0f-9a7c-4b8c6f7f8a11', 'two-files'),
  );
  const first = await factsOf(await deliver(xml, audio()));
  expectProblem(await deliver(xml, audio()), 409, 'conflict');
  for (const more of [{ segment: 1 }, { segment: 2 }, { deliveryId: 'file-4' }])
    expect(await factsOf(await deliver(metadata(more), xml, audio()))).toMatchObject({
      callId: first.callId,
    });
});

const NUMBER = '0701740698';
test.each([
  ['a document type', `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><recording>&x;</recording>`],
  ['no end', `<recording><session><sipSessionID>${NUMBER}`],
  ['no recording', `<call><number>${NUMBER}</number></call>`],
  [
    'a time that is none',
    `<recording><session session_id="s"><start-time>${NUMBER}</start-time></session></recording>`,
  ],
])('%s: refused by the element, nothing stored, no number in the answer', async (_, text) => {
  const reply = await deliver(siprec(text), audio());
  const { faults } = expectProblem(reply, 400, 'not_acceptable_metadata');
  expect(faults).toHaveLength(1);
  expect(reply.text).not.toContain(NUMBER);
});

test('a part that is too long, twice there, or in the wrong place', async () => {
  const long = siprec(Buffer.alloc(262_145, 0x20));
  expect(expectProblem(await deliver(long, audio()), 400, 'invalid_request').detail).toMatch(
    /siprec is too long/,
  );
  const one = siprec(document('cisco'));
  for (const parts of [
    [one, one, audio()],
    [one, metadata({ callId: 'late' }), audio()],
    [audio(), one],
  ])
    expectProblem(await deliver(...parts), 400, 'invalid_request');
});
