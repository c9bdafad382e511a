import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { type Ask, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { answersIn, replyOf, sendRaw } from '../support/raw-http.ts';
import { startScene } from '../support/scene.ts';
import { closeUnharmed, expectUnchanged } from '../support/unchanged.ts';

/** Bad requests: each a 4xx problem that names the fault; nothing told, the process alive. */
let scene: Awaited<ReturnType<typeof startScene>>;
let nurse: string;

beforeAll(async () => {
  scene = await startScene();
  nurse = await scene.own.nurse.token();
});
afterAll(() => closeUnharmed(scene));
expectUnchanged(() => scene.folder);

const search = (body: Buffer | string, type = 'application/json'): Promise<Reply> =>
  scene.http.post('/v1/recordings/search', { token: nurse, body, headers: { 'content-type': type } });

test.each([
  ['not JSON', '{"a":', /not JSON/],
  ['empty', '', /empty/],
  ['__proto__', '{"__proto__":{"limit":1}}', /__proto__/],
  ['constructor', '{"constructor":{"prototype":{"x":1}}}', /constructor/],
  ['no UTF-8', Buffer.from('7b22fffe223a317d', 'hex'), /not UTF-8/],
  ['UTF-16', Buffer.from('{"limit":1}', 'utf16le'), /not JSON/],
  ['deep', `${'['.repeat(30_000)}${']'.repeat(30_000)}`, /documented form/],
  ['deeper, and cut off', '{"a":'.repeat(12_000), /not JSON/],
  ['an array', '[]', /documented form/],
  ['nothing', 'null', /documented form/],
  ['a text', '"x"', /documented form/],
])('a body that is no search, %s: 400', async (_what, body, says) => {
  expect(expectProblem(await search(body), 400, 'invalid_request').detail).toMatch(says);
});

test('a body of a megabyte: 413; of another content type: 415; coded: 415', async () => {
  expectProblem(await search(JSON.stringify({ callId: 'x'.repeat(1e6) })), 413, 'too_large');
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'text/json',
    ';',
    'multipart/form-data',
  ])
    expectProblem(await search('{}', type), 415, 'unsupported_media_type');
  expectProblem(
    await scene.http.post('/v1/recordings/search', { token: nurse, body: '{}' }),
    415,
    'unsupported_media_type',
  );
  const coded = { token: nurse, json: {}, headers: { 'content-encoding': 'br' } };
  expectProblem(await scene.http.post('/v1/recordings/search', coded), 415, 'unsupported_media_type');
});

test.each([
  [{ limit: 0 }, 'body/limit', /^must be 1 or more$/],
  [{ limit: 201 }, 'body/limit', /^must be 200 or less$/],
  [{ limit: '5' }, 'body/limit', /^must be a whole number$/],
  [{ callerNumber: 46701740605 }, 'body/callerNumber', /^must be text$/],
  [{ from: 'yesterday' }, 'body/from', /RFC 3339/],
  [{ careUnit: 'x' }, 'body/careUnit', /UUID/],
  [{ direction: 'sideways' }, 'body/direction', /one of inbound, outbound, internal/],
  [{ cursor: '../..' }, 'body/cursor', /^does not have the documented form$/],
  [{ callId: '' }, 'body/callId', /^must not be empty$/],
  [{ queue: 'x'.repeat(300) }, 'body/queue', /^must have at most 256 characters$/],
  [{ cursor: 'AAAA' }, 'cursor', /earlier answer/],
  [{ callerNumber: 'no number' }, 'callerNumber', /telephone number/],
  [{ personalNumber: '20170101-0000' }, 'personalNumber', /./],
  [{ callerNumber: ['x'] }, 'body/callerNumber', /^must be text$/],
])('a search that cannot be: 400 names the field (%j)', async (json, where, fault) => {
  const { faults } = expectProblem(await search(JSON.stringify(json)), 400, 'invalid_request');
  expect(faults?.[0]).toEqual({ where, fault: expect.stringMatching(fault) });
});

test('all faults of a body are named at once, each once, twenty at most, and no value with them', async () => {
  const wrong = {
    limit: '4670',
    direction: 'sideways',
    careUnit: 'X',
    callId: 5,
    religion: 'any',
    n0701740605: 1,
  };
  const { faults } = expectProblem(await search(JSON.stringify(wrong)), 400, 'invalid_request');
  expect(new Set(faults)).toEqual(
    new Set([
      { where: 'body', fault: 'is unknown: its name is not repeated here' },
      { where: 'body', fault: 'is unknown: religion' },
      { where: 'body/callId', fault: 'must be text' },
      { where: 'body/careUnit', fault: 'must be a UUID in lower case' },
      { where: 'body/direction', fault: 'must be one of inbound, outbound, internal' },
      { where: 'body/limit', fault: 'must be a whole number' },
    ]),
  );
  expect(faults).toHaveLength(6);
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`f${i}`, i]));
  const bounded = expectProblem(await search(JSON.stringify(many)), 400, 'invalid_request');
  expect(bounded.faults).toHaveLength(20);
});

test('a purpose that is none names those there are', async () => {
  const json = { purpose: 'curiosity' };
  const reply = await scene.http.post(`/v1/recordings/${scene.own.recording.id}/playbacks`, {
    token: nurse,
    json,
  });
  const { faults } = expectProblem(reply, 400, 'invalid_request');
  expect(faults?.[0]?.fault).toBe(
    'must be one of care, quality, complaint, patient_request, supervision, technical',
  );
});

test.each(['x', 'null', '0', "' OR 1=1", '..', `${randomUUID()}0`, randomUUID().toUpperCase()])(
  'an id that is none: 400 or 404, never found (%s)',
  async (id) => {
    const { status } = await scene.http.get(`/v1/recordings/${encodeURIComponent(id)}`, { token: nurse });
    expect([400, 404]).toContain(status);
  },
);

test('methods that an address does not know: 405 names those it does, for strangers too', async () => {
  const asks: readonly [path: string, allow: string, methods: readonly string[]][] = [
    ['/v1/recordings/search', 'POST', ['GET', 'DELETE', 'PUT', 'OPTIONS', 'PROPFIND', 'TRACE', 'PURGE']],
    [`/v1/recordings/${randomUUID()}`, 'DELETE, GET, HEAD', ['POST', 'PUT', 'PATCH']],
    ['/v1/recordings/x?a=1', 'DELETE, GET, HEAD', ['POST']],
    ['/v1/ingest/x', 'PUT', ['GET', 'POST', 'DELETE']],
    ['/v1/recordings', 'POST', ['GET', 'PUT']],
    [`/v1/playbacks/${randomUUID()}/audio`, 'GET, HEAD', ['POST']],
    ['/v1/auth/login', 'POST', ['GET', 'HEAD']],
    ['/healthz', 'GET, HEAD', ['POST']],
    // A WebSocket begins with GET alone (RFC 6455 §4.1).
    ['/v1/ingest/jambonz', 'GET', ['HEAD', 'POST']],
  ];
  for (const [path, allow, methods] of asks)
    for (const method of methods)
      for (const ask of [{}, { token: nurse }]) {
        const reply = await scene.http.ask(method, path, ask);
        expect([method, path, reply.status, reply.headers.allow]).toEqual([method, path, 405, allow]);
        if (method !== 'HEAD') expectProblem(reply, 405, 'method_not_allowed');
      }
});

test('whatever answers GET answers HEAD alike, without its body', async () => {
  const compliance = await scene.home.compliance.token();
  const { id } = scene.own.recording;
  const csv = { accept: 'text/csv' };
  const asks: readonly [path: string, ask: Ask, status: number, length?: 'unknown'][] = [
    ['/healthz', {}, 200],
    ['/readyz', {}, 200],
    ['/openapi.json', {}, 200],
    [`/v1/recordings/${id}`, { token: nurse }, 200],
    [`/v1/recordings/${id}`, { token: compliance }, 403],
    [`/v1/recordings/${id}`, {}, 401],
    [`/v1/recordings/${randomUUID()}`, { token: nurse }, 404],
    ['/v1/audit/checkpoint', { token: compliance }, 200],
    [`/v1/audit/recordings/${id}/hearers`, { token: compliance, headers: csv }, 200, 'unknown'],
    ['/v1/audit/export', { token: compliance }, 200, 'unknown'],
  ];
  for (const [path, ask, status, length] of asks) {
    const [got, head] = [await scene.http.get(path, ask), await scene.http.head(path, ask)];
    expect([path, got.status, head.status, head.body.length]).toEqual([path, status, status, 0]);
    expect(head.headers['content-type']).toBe(got.headers['content-type']);
    const said = got.headers['content-length'];
    expect([path, head.headers['content-length']]).toEqual([path, length === 'unknown' ? undefined : said]);
    expect(said === undefined).toBe(length === 'unknown');
  }
});

test('facts that are asked for with HEAD are an entry like any other', async () => {
  const people = createIntegrator(scene);
  const { id } = scene.own.recording;
  const viewed = async () => (await people.entries({ action: 'recording.viewed', recording: id })).length;
  const before = await viewed();
  expect((await scene.http.head(`/v1/recordings/${id}`, { token: nurse })).status).toBe(200);
  expect(await viewed()).toBe(before + 1);
});

test('addresses that do not exist: 404, for strangers too', async () => {
  for (const path of ['/', '/v1', '/v1/', '/admin', '/metrics', '/.env', '/docs', '//healthz', '/V1/auth/me'])
    expectProblem(await scene.http.get(path), 404, 'not_found');
  expectProblem(await scene.http.get(`/${'a'.repeat(10_000)}`), 404, 'not_found');
  expectProblem(await scene.http.get('/%zz'), 400, 'invalid_request');
});

test('too long an address or header: 431', async () => {
  expectProblem(await scene.http.get(`/${'a'.repeat(20_000)}`), 431, 'headers_too_large');
  expectProblem(
    await scene.http.get('/healthz', { headers: { x: 'a'.repeat(20_000) } }),
    431,
    'headers_too_large',
  );
});

const get = 'GET /healthz HTTP/1.1\r\nHost: x\r\n';
const post = 'POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
test.each([
  ['garbage', 'hello\r\n\r\n'],
  ['TLS to a port without it', Buffer.from('16030100c8010000c40303', 'hex')],
  ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
  ['another HTTP', 'GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n'],
  ['an unknown method', 'BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a tunnel', 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a control character', `${get}a\x01b: 1\r\n\r\n`],
  ['a folded header', `${get}a: 1\r\n b: 2\r\n\r\n`],
  ['two lengths', `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345`],
  ['length and chunks', `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x`],
  ['a negative length', `${post}Content-Length: -5\r\n\r\n`],
  ['a length beyond all', `${post}Content-Length: 99999999999999999999\r\n\r\n`],
  ['a chunk that is none', `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`],
  ['a coding nobody knows', `${post}Transfer-Encoding: gzip\r\n\r\n`],
  ['chunks within chunks', `${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  ['half a body', `${post}Content-Length: 500\r\n\r\n{"email":"a`],
])('what is no HTTP is answered once, with a problem: %s', async (_what, bytes) => {
  const came = await sendRaw(scene.http.url, bytes);
  expect(answersIn(came)).toBe(1);
  const { status, headers, text } = replyOf(came);
  expect(status).toBe(400);
  expect(headers['content-type']).toBe('application/problem+json');
  expect(JSON.parse(text)).toMatchObject({
    status: 400,
    detail: expect.stringMatching(/^The .*\.$|^This is no/),
  });
});

test('chunks are as good as a length', async () => {
  const { email, password } = scene.own.nurse;
  const body = JSON.stringify({ email, password });
  const chunks = [...body].map((char) => `1\r\n${char}\r\n`).join('');
  const came = await sendRaw(
    scene.http.url,
    `${post}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunks}0\r\n\r\n`,
    { end: false },
  );
  expect(replyOf(came).status).toBe(200);
});

test('an expectation nobody knows is ignored', async () => {
  const came = await sendRaw(scene.http.url, `${get}Expect: the-unexpected\r\nConnection: close\r\n\r\n`);
  expect(replyOf(came).status).toBe(200);
});

test('ASVS 13.4 no answer names its maker, its version or how near the limit is', async () => {
  const replies = [
    await scene.http.get('/healthz'),
    await scene.http.get('/nowhere'),
    await scene.http.get('/v1/auth/me', { token: nurse }),
  ];
  for (const { headers } of replies) {
    expect(Object.keys(headers).filter((name) => /powered|^server$|via|ratelimit/.test(name))).toEqual([]);
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
  }
});

test('an upload that is refused leaves the connection to the next request', async () => {
  const form = uploadForm({ callId: randomUUID(), careUnit: 'Nowhere' }, generatedCall(60));
  const reply = await scene.http.post('/v1/recordings', { token: scene.home.source.apiKey, form });
  expectProblem(reply, 400, 'not_acceptable_metadata');
  expect(reply.headers.connection).not.toBe('close');
});
