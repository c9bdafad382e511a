import { createHash, randomUUID } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { audio, audioPart, brokenForms, metadataPart, multipart } from '../support/broken-forms.ts';
import { type Ask, type Form, formOf, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator, type Entry } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { openRaw, replyOf, sendRaw } from '../support/raw-http.ts';
import { startScene } from '../support/scene.ts';
import { expectUnchanged } from '../support/unchanged.ts';

/**
 * Bad deliveries: each a 4xx problem that names the fault; nothing stored, nothing told, the process alive, and in the log
 * one entry with the fault's word for each that a known source was refused.
 */
let scene: Awaited<ReturnType<typeof startScene>>;

beforeAll(async () => {
  scene = await startScene({ MAX_UPLOAD_BYTES: String(2 * 1024 * 1024) });
});
afterAll(async () => {
  const { own, http } = scene;
  expect((await http.get('/readyz')).status).toBe(200);
  expect(await createIntegrator(scene).search(own.nurse, {})).toEqual([own.recording.id]);
  await scene.close();
});
expectUnchanged(() => scene.folder);

/** What the source was told, in order: each is an entry. */
let told: string[] = [];
let before: readonly Entry[];
const refused = (): Promise<readonly Entry[]> => {
  const { id } = scene.home.source;
  return createIntegrator(scene).entries({ action: 'recording.refused', actor: id });
};
beforeEach(async () => {
  [told, before] = [[], await refused()];
});
afterEach(async () => {
  const entries = (await refused()).slice(before.length);
  expect(entries.map(({ detail }) => detail.reason)).toEqual(told);
  for (const { outcome, organisation, subject, detail, ...entry } of entries) {
    expect({ outcome, organisation, subject }).toEqual({
      outcome: 'denied',
      organisation: scene.home.id,
      subject: entry.recording === null ? null : subject,
    });
    expect(Object.keys(detail).sort()).toEqual(['bytes', 'reason']);
    expect(detail.reason).toMatch(/^[a-z_]+$/);
  }
});

const remember = (reply: Reply): Reply => {
  const { code } = JSON.parse(reply.text) as { code?: string };
  if (code !== undefined && !['unauthenticated', 'forbidden'].includes(code)) told.push(code);
  return reply;
};
const deliver = async (ask: Ask): Promise<Reply> =>
  remember(await scene.http.post('/v1/recordings', { token: scene.home.source.apiKey, ...ask }));
const put = async (name: string, headers: Record<string, string> = {}, body: Buffer | string = audio) =>
  remember(
    await scene.http.put(`/v1/ingest/${name}`, {
      token: scene.home.source.apiKey,
      headers,
      body,
    }),
  );

test.each(brokenForms)('a form that is none, %s: 400', async (_what, ask, says) => {
  expect(expectProblem(await deliver(ask()), 400, 'invalid_request').detail).toMatch(says);
});

test.each([
  { json: { callId: 'x' } },
  { body: 'x', headers: { 'content-type': 'text/plain' } },
  { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  { body: 'x', headers: { 'content-type': ';;;' } },
  { body: 'x' },
  {},
])('a form of another content type: 415 (%j)', async (ask) => {
  expectProblem(await deliver(ask), 415, 'unsupported_media_type');
});

const refusal = async (form: Form) =>
  expectProblem(await deliver({ form }), 400, 'not_acceptable_metadata').faults ?? [];

test.each([' ', '{', '[]', 'null', '"x"', '5', '[{"callId":"x"}]', `${'['.repeat(30_000)}`])(
  'metadata that is no object: %.20j',
  async (text) => {
    const [fault] = await refusal(formOf([metadataPart(text), audioPart]));
    expect(fault).toMatchObject({ where: 'metadata', fault: expect.stringMatching(/JSON/) });
  },
);

test('metadata that is not UTF-8', async () => {
  const content = Buffer.concat([Buffer.from('{"callId":"'), Buffer.from([0xff, 0xc0]), Buffer.from('"}')]);
  const [fault] = await refusal(formOf([{ name: 'metadata', content }, audioPart]));
  expect(fault).toEqual({ where: 'metadata', fault: 'is not JSON in UTF-8' });
});

test('G-1 wrong types and unknown fields: all named at once, no value repeated', async () => {
  const wrong = {
    segment: 'seven',
    callerNumber: 46701740605,
    startedAt: 'yesterday',
    direction: 'sideways',
    channels: { 9: 'caller' },
    pauses: [[5, 1]],
    personalNumber: '20170101-0000',
    retentionClass: 'for ever',
    religion: 'any',
  };
  const form = uploadForm({ ...wrong, callId: ['x'] }, audio);
  const faults = await refusal(form);
  expect(faults.map(({ where }) => where).sort()).toEqual([...Object.keys(wrong), 'callId'].sort());
  expect(JSON.stringify(faults)).not.toMatch(/46701740605|yesterday|sideways|20170101|for ever|any"/);
});

test('names that reach for the prototype', async () => {
  const text = '{"callId":"a","__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}';
  const faults = await refusal(formOf([metadataPart(text), audioPart]));
  expect(faults.map(({ fault }) => fault)).toEqual(['is not a known field', 'is not a known field']);
});

test('PDL-11 a care unit of somebody else, or of nobody', async () => {
  for (const careUnit of [scene.abroad.id, randomUUID(), 'Nowhere', '../other', "' OR 1=1 --"])
    expect(await refusal(uploadForm({ callId: randomUUID(), careUnit }, audio))).toMatchObject([
      { where: 'careUnit' },
    ]);
});

test.each([
  ['070-1740605.wav', 'number_in_name'],
  ['0701740605', 'number_in_name'],
  [encodeURIComponent('+46 70 174 06 05'), 'number_in_name'],
  [encodeURIComponent('０７０１７４０６０５'), 'number_in_name'],
  [encodeURIComponent('4 67 200 999 8877.wav'), 'number_in_name'],
  ['07017406-0512-4000-8000-123456789012.wav', 'number_in_name'],
  [encodeURIComponent('../../etc/passwd'), 'invalid_request'],
  [encodeURIComponent('..\\..\\windows'), 'invalid_request'],
  [encodeURIComponent('a\0b'), 'invalid_request'],
  [encodeURIComponent('a\r\nSet-Cookie: x'), 'invalid_request'],
])('G-1 a name in the address that may not be one: %.40s', async (name, code) => {
  const { detail } = expectProblem(await put(name), 400, code);
  if (code === 'number_in_name') expect(detail).toMatch(/a new UUID/);
});

test.each(['a'.repeat(129), '%zz'])('an address that is none: nobody is known yet (%.10s)', async (name) => {
  expectProblem(await put(name), 400, 'invalid_request');
  told = [];
});

test.each([
  ['application/json', '{"a":1}'],
  ['application/json', '[]'],
  ['application/json; charset=utf-8', 'null'],
  ['application/json', 'no json'],
  ['application/problem+json', '{}'],
  ['multipart/form-data; boundary=x', '--x--'],
  ['application/x-www-form-urlencoded', 'a=b'],
  ['text/html', '<p>'],
  ['text/plain', 'x'],
  ['application/xml', '<a/>'],
  ['audio/', 'x'],
  ['audio', 'x'],
  ['application/octet-streams', 'x'],
])('a raw body of a type that is no recording: 415 names what is (%s, %s)', async (type, body) => {
  const reply = await put(randomUUID(), { 'content-type': type }, body);
  expect(expectProblem(reply, 415, 'unsupported_media_type').detail).toMatch(
    /audio\/\* or application\/octet-stream|openapi/,
  );
});

test('a part of a recording is not taken for the whole: 400', async () => {
  for (const range of ['bytes 100-999/1000', 'bytes */*', 'x', '']) {
    const headers = { 'content-range': range };
    const one = expectProblem(await put(randomUUID(), headers), 400, 'invalid_request');
    const form = uploadForm({ callId: randomUUID() }, audio);
    const other = expectProblem(await deliver({ form, headers }), 400, 'invalid_request');
    for (const { detail } of [one, other]) expect(detail).toContain('Content-Range');
  }
});

test('a number in the query of an address: 400, and it is not repeated', async () => {
  const one = await put(`${randomUUID()}?caller=%2B46701740605`);
  const form = uploadForm({ callId: randomUUID() }, audio);
  const other = remember(
    await scene.http.post('/v1/recordings?caller=%2B46701740605', { token: scene.home.source.apiKey, form }),
  );
  for (const reply of [one, other]) {
    const { faults } = expectProblem(reply, 400, 'invalid_request');
    expect(faults).toEqual([{ where: 'querystring', fault: 'is unknown: caller' }]);
  }
});

test('ASVS 5.3 a hostile file name is nothing but a sealed fact', async () => {
  for (const filename of ['../../../etc/cron.d/x', 'CON', '<script>', 'a\\b\\c', 'x'.repeat(5000)]) {
    const part = { ...audioPart, filename, content: Buffer.from('\x7fELF', 'latin1') };
    // Refused for its content, so that nothing stays; what the name says changes nothing.
    expectProblem(await deliver({ form: formOf([metadataPart(), part]) }), 422, 'refused_content');
  }
});

test.each([
  ['ELF', '\x7fELF\x02\x01\x01\0'],
  ['Windows', 'MZ\x90\0'],
  ['ZIP', 'PK\x03\x04'],
  ['gzip', '\x1f\x8b\x08\0'],
  ['a script', '#!/bin/sh\n'],
])('ASVS 5.2 an executable or archive instead of a recording: 422 (%s)', async (_kind, magic) => {
  const body = Buffer.concat([Buffer.from(magic, 'latin1'), Buffer.alloc(70_000)]);
  const { detail } = expectProblem(
    await deliver({ form: uploadForm({ callId: randomUUID() }, body) }),
    422,
    'refused_content',
  );
  expect(detail).toContain('not a recording');
  expectProblem(await put(randomUUID(), { 'content-type': 'audio/wav' }, body), 422, 'refused_content');
});

test('a wrong digest, however it is given: 400, and the sender keeps its copy', async () => {
  const wrong = createHash('sha256').update('another').digest();
  const digest = { name: 'sha256', content: wrong.toString('hex') };
  expectProblem(await deliver({ form: formOf([metadataPart(), digest, audioPart]) }), 400, 'digest_mismatch');
  const header = `sha-256=:${wrong.toString('base64')}:`;
  const withHeader = { ...audioPart, digest: header };
  expectProblem(await deliver({ form: formOf([metadataPart(), withHeader]) }), 400, 'digest_mismatch');
  expectProblem(await put(randomUUID(), { 'content-digest': header }), 400, 'digest_mismatch');
  expectProblem(await put(randomUUID(), { 'repr-digest': header }), 400, 'digest_mismatch');
  for (const unreadable of ['sha-256=:zz:', 'sha-256', `sha-256=:${'A'.repeat(2000)}:`])
    expectProblem(await put(randomUUID(), { 'content-digest': unreadable }), 400, 'invalid_request');
});

const right = `sha-256=:${createHash('sha256').update(audio).digest('base64')}:`;
test.each([
  ['content-digest', 'md5=:AAAA:', /Content-Digest/],
  ['content-digest', 'garbage', /Content-Digest/],
  ['content-digest', '', /Content-Digest/],
  ['content-digest', `${right}, ${right}`, /SHA-256/],
  ['repr-digest', 'sha-512=:AAAA:', /Content-Digest: sha-256/],
  ['digest', `SHA-256=${right}`, /Content-Digest: sha-256/],
  ['content-md5', 'AAAA', /Content-Digest: sha-256/],
])('a digest that is not checked is not passed over: 400 (%s: %.20s)', async (name, value, says) => {
  const one = await put(randomUUID(), { [name]: value });
  expect(expectProblem(one, 400, 'invalid_request').detail).toMatch(says);
  const head = await deliver({
    form: uploadForm({ callId: randomUUID() }, audio),
    headers: { [name]: value },
  });
  expectProblem(head, 400, 'invalid_request');
  if (name !== 'content-digest') return;
  const form = formOf([metadataPart(), { ...audioPart, digest: value }]);
  expect(expectProblem(await deliver({ form }), 400, 'invalid_request').detail).toMatch(says);
});

test('digests that differ from each other: 400', async () => {
  const other = `sha-256=:${createHash('sha256').update('another').digest('base64')}:`;
  const both = { 'content-digest': right, 'repr-digest': other };
  expect(expectProblem(await put(randomUUID(), both), 400, 'invalid_request').detail).toMatch(/same digest/);
});

test.each([
  [{ 'x-call-foo': '1' }, 'x-call-foo'],
  [{ 'x-call-segment': '-1' }, 'x-call-segment'],
  [{ 'x-call-pauses': '5-1' }, 'x-call-pauses'],
  [{ 'x-call-channels': 'caller,nobody' }, 'x-call-channels'],
  [{ 'x-call-id': Buffer.from([0xff, 0xfe]).toString('latin1') }, 'x-call-id'],
])('a header of the call that cannot be: %j', async (headers, where) => {
  const { faults } = expectProblem(await put(randomUUID(), headers), 400, 'not_acceptable_metadata');
  expect(faults?.map((fault) => fault.where)).toEqual([where]);
});

test('ASVS 5.2 too much: 413 before it is read, or as soon as it is too much', async () => {
  const big = Buffer.alloc(5 * 1024 * 1024);
  expectProblem(await put(randomUUID(), {}, big), 413, 'too_large');
  expectProblem(await deliver({ form: uploadForm({ callId: randomUUID() }, big) }), 413, 'too_large');
  const slightly = Buffer.alloc(2 * 1024 * 1024 + 1);
  expectProblem(await deliver({ form: uploadForm({ callId: randomUUID() }, slightly) }), 413, 'too_large');
});

test('a coded body: 415', async () => {
  expectProblem(await put(randomUUID(), { 'content-encoding': 'gzip' }), 415, 'unsupported_media_type');
  // Refused like every coded request, before it is asked who sends it.
  told = [];
});

test.each(['deflate, chunked', 'gzip,chunked', 'identity, chunked', 'deflate\r\nTransfer-Encoding: chunked'])(
  'a body in another coding of transfer (%j): 415 before a byte of it is asked for',
  async (codings) => {
    const ways: readonly (readonly [at: string, type: string])[] = [
      [`PUT /v1/ingest/${randomUUID()}`, 'audio/wav'],
      ['POST /v1/recordings', multipart],
      ['POST /v1/sealed-recordings', multipart],
      ['POST /v1/ingest/rtpengine', multipart],
      [`PATCH /v1/uploads/${randomUUID()}`, 'application/offset+octet-stream'],
      ['POST /v1/calls', 'application/json'],
      ['POST /v1/auth/token', 'application/x-www-form-urlencoded'],
    ];
    const compressed = deflateSync(audio);
    for (const [at, type] of ways) {
      const head =
        `${at} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${scene.home.source.apiKey}\r\nContent-Type: ${type}\r\n` +
        `X-Call-Id: ${randomUUID()}\r\nExpect: 100-continue\r\nTransfer-Encoding: ${codings}\r\n\r\n` +
        `${compressed.length.toString(16)}\r\n`;
      const bytes = Buffer.concat([Buffer.from(head), compressed, Buffer.from('\r\n0\r\n\r\n')]);
      // The first answer: 100 would be one, too.
      const { detail } = expectProblem(
        replyOf(await sendRaw(scene.http.url, bytes)),
        415,
        'unsupported_media_type',
      );
      expect(detail).toContain('Transfer-Encoding');
    }
  },
);

test.each([{}, { 'content-type': 'audio/wav' }])(
  'a request that frames no body (%j) is no recording',
  async (headers) => {
    const written = Object.entries({
      host: 'x',
      authorization: `Bearer ${scene.home.source.apiKey}`,
      ...headers,
    });
    const { write, closed } = await openRaw(scene.http.url);
    const lines = written.map(([name, value]) => `${name}: ${value}\r\n`);
    write(`PUT /v1/ingest/${randomUUID()} HTTP/1.1\r\n${lines.join('')}connection: close\r\n\r\n`);
    expectProblem(remember(replyOf(await closed)), 400, 'invalid_request');
  },
);

test('PDL-2 whoever may not deliver is refused before a byte is read', async () => {
  const form = uploadForm({ callId: randomUUID() }, audio);
  const nurse = await scene.own.nurse.token();
  const admin = await scene.home.admin.token();
  for (const token of [nurse, admin]) expectProblem(await deliver({ form, token }), 403, 'forbidden');
  for (const token of ['nonsense', scene.home.source.clientSecret, `${scene.home.source.apiKey}x`])
    expectProblem(await deliver({ form, token }), 401, 'unauthenticated');
});

test('a second delivery of a call that is here, broken: an entry like that of a first', async () => {
  const { recording } = scene.own;
  const { callId } = recording.metadata as { callId: string };
  const half = Buffer.from('PK\x03\x04 not the same call', 'latin1');
  const digest = `sha-256=:${createHash('sha256').update('another').digest('base64')}:`;
  const again = (headers: Record<string, string>, body: Buffer) =>
    put(randomUUID(), { 'x-call-id': callId, 'content-type': 'audio/wav', ...headers }, body);
  expectProblem(await again({ 'content-digest': digest }, recording.audio), 400, 'digest_mismatch');
  expectProblem(await again({}, half), 422, 'refused_content');
  expectProblem(await again({}, audio), 409, 'conflict');
  const bytes = (await refused()).slice(before.length).map(({ detail }) => detail.bytes);
  expect(bytes).toEqual([recording.audio.length, half.length, audio.length]);
});
