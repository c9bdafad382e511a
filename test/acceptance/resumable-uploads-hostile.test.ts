import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { canary, hitsIn } from '../support/canary.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { audio, LIMIT, takesUploads } from '../support/resumable-uploads.ts';
import { createTus, locationOf, recordingOf, sha256Header } from '../support/tus.ts';

/** What is refused of recordings that come in parts (docs/uploads.md). */
const uploads = takesUploads();

const code = (reply: Reply, status: number, name: string) => {
  if (status !== 460) return expectProblem(reply, status, name);
  expect(reply.status).toBe(460);
  expect(jsonOf<{ code: string }>(reply).code).toBe(name);
  return undefined;
};

describe('what is refused at the beginning', () => {
  test.each([
    ['no length', '', 400, 'invalid_request', {}],
    ['a length that is none', '1e3', 400, 'invalid_request', {}],
    ['a negative length', '-1', 400, 'invalid_request', {}],
    ['more than a recording may have', String(LIMIT + 1), 413, 'too_large', {}],
    ['more than anything can have', '9'.repeat(15), 413, 'too_large', {}],
    ['a length to come later', '10', 400, 'invalid_request', { 'upload-defer-length': '1' }],
    ['pieces to be joined', '10', 400, 'invalid_request', { 'upload-concat': 'partial' }],
    ['another version', '10', 412, 'unsupported_version', { 'tus-resumable': '0.2.2' }],
    ['another method', '10', 400, 'invalid_request', { 'x-http-method-override': 'PUT' }],
  ] as const)('%s', async (_what, length, status, name, headers) => {
    const reply = await uploads.tus.begin(length, undefined, headers);
    code(reply, status, name);
    expect(reply.headers['tus-resumable']).toBe('1.0.0');
    if (status === 412) expect(reply.headers['tus-version']).toBe('1.0.0');
  });

  test('metadata, with every fault and no value', async () => {
    const { digits, number } = canary;
    for (const fields of [
      {},
      { callId: 'x', [`n${digits}`]: number },
      { callId: 'x', startedAt: number },
      { callId: 'x', careUnit: number },
      { callId: 'x', filetype: `${digits}` },
    ]) {
      const reply = await uploads.tus.begin(10, fields as Record<string, string>);
      const { faults } = code(reply, 400, 'not_acceptable_metadata') ?? {};
      expect(faults?.length).toBeGreaterThan(0);
      expect(hitsIn(reply.text)).toEqual([]);
    }
    for (const header of [
      'callId',
      'callId ===',
      'callId eA==,callId eQ==',
      'callId eA== eA==',
      'callId /w==',
      ',',
      '\t',
    ])
      code(await uploads.tus.begin(10, {}, { 'upload-metadata': header }), 400, 'not_acceptable_metadata');
  });
});

describe('what is refused of parts', () => {
  test('bytes with POST; PATCH of another type, without an offset, without a version', async () => {
    const path = await uploads.begun();
    const body = audio.subarray(0, 1_000);
    const { token, headers } = {
      token: uploads.scene.home.source.apiKey,
      headers: { 'tus-resumable': '1.0.0' },
    };
    const post = {
      token,
      body,
      headers: { ...headers, 'upload-length': '10', 'upload-metadata': 'callId eA==' },
    };
    code(await uploads.scene.http.post('/v1/uploads', post), 400, 'invalid_request');
    code(
      await uploads.tus.patch(path, 0, body, { 'content-type': 'audio/wav' }),
      415,
      'unsupported_media_type',
    );
    code(await uploads.tus.patch(path, '', body), 400, 'invalid_request');
    code(await uploads.tus.patch(path, '0x0', body), 400, 'invalid_request');
    code(await uploads.tus.patch(path, 0, body, { 'tus-resumable': '2.0.0' }), 412, 'unsupported_version');
    code(await uploads.tus.patch(path, 0, body, { 'upload-checksum': 'md5 AAAA' }), 400, 'invalid_request');
    code(
      await uploads.tus.patch(path, 0, body, { 'upload-checksum': 'sha256 AAAA' }),
      400,
      'invalid_request',
    );
    expect(await uploads.offsetOf(path)).toBe('0');
    expect(await uploads.tus.end(path)).toMatchObject({ status: 204 });
  });

  test('bytes at another offset, beyond the end, with another checksum; and nothing of them is kept', async () => {
    const path = await uploads.begun(5_000);
    const body = audio.subarray(0, 2_000);
    expect((await uploads.tus.patch(path, 0, body)).headers['upload-offset']).toBe('2000');
    for (const offset of [0, 1_999, 2_001, 5_000])
      code(await uploads.tus.patch(path, offset, body), 409, 'offset_mismatch');
    code(await uploads.tus.patch(path, 2_000, audio.subarray(0, 3_001)), 413, 'too_large');
    const wrong = { 'upload-checksum': sha256Header(Buffer.from('another body')) };
    code(await uploads.tus.patch(path, 2_000, body, wrong), 460, 'checksum_mismatch');
    expect(await uploads.offsetOf(path)).toBe('2000');
    expect(await uploads.rowOf(path)).toMatchObject({ received: 2_000, parts: 1 });
    const right = { 'upload-checksum': sha256Header(body) };
    expect(await uploads.tus.patch(path, 2_000, body, right)).toMatchObject({ status: 204 });
    expect(await uploads.offsetOf(path)).toBe('4000');
    expect(await uploads.tus.end(path)).toMatchObject({ status: 204 });
    expect(await uploads.partFiles()).toBe(0);
    expect(await uploads.endings()).toContain('recording.abandoned client');
  });
});

describe('whose upload it is not', () => {
  test('an upload of another source, of another organisation, an ended one, and none: all alike', async () => {
    const path = await uploads.begun();
    const neighbour = await uploads.scene.stage.source(uploads.scene.home.admin, uploads.scene.own.id);
    for (const { apiKey } of [neighbour, uploads.scene.foreign.source]) {
      const stranger = createTus(uploads.scene.http, apiKey);
      code(await stranger.patch(path, 0, audio.subarray(0, 10)), 404, 'not_found');
      code(await stranger.end(path), 404, 'not_found');
      expect((await stranger.head(path)).status).toBe(404);
    }
    code(await uploads.tus.patch(`/v1/uploads/${randomUUID()}`, 0, audio), 404, 'not_found');
    code(await uploads.tus.patch('/v1/uploads/not-an-id', 0, audio), 400, 'invalid_request');
    expect(await uploads.offsetOf(path)).toBe('0');
    await uploads.tus.end(path);
    expect((await uploads.tus.head(path)).status).toBe(404);
  });

  test('everything of a source that was disabled meanwhile; nothing of it is lost if it comes back', async () => {
    const source = await uploads.scene.stage.source(uploads.scene.home.admin, uploads.scene.own.id);
    const own = createTus(uploads.scene.http, source.apiKey);
    const path = locationOf(await own.begin(audio.length));
    await own.patch(path, 0, audio.subarray(0, 1_000));
    const token = await uploads.scene.home.admin.token();
    await uploads.scene.http.post(`/v1/admin/sources/${source.id}/disable`, { token });
    code(await own.patch(path, 1_000, audio.subarray(1_000)), 401, 'unauthenticated');
    expect((await own.head(path)).status).toBe(401);
    await uploads.scene.http.post(`/v1/admin/sources/${source.id}/enable`, { token });
    const last = await own.patch(path, 1_000, audio.subarray(1_000));
    expect((await uploads.heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });

  test('a program, once it is whole, and then nothing of it is left', async () => {
    const elf = Buffer.concat([Buffer.from('\x7fELF'), Buffer.alloc(5_000)]);
    const path = await uploads.begun(elf.length);
    code(await uploads.tus.patch(path, 0, elf), 422, 'refused_content');
    expect((await uploads.tus.head(path)).status).toBe(404);
    expect(await uploads.partFiles()).toBe(0);
    expect(await uploads.endings()).toContain('recording.refused refused_content');
  });

  test('more unfinished uploads than a source may have', async () => {
    const source = await uploads.scene.stage.source(uploads.scene.home.admin, uploads.scene.own.id);
    const own = createTus(uploads.scene.http, source.apiKey);
    const replies = await Promise.all(Array.from({ length: 110 }, () => own.begin(1_000)));
    const taken = replies.filter(({ status }) => status === 201);
    expect(taken).toHaveLength(100);
    code(replies.find(({ status }) => status !== 201) as Reply, 429, 'rate_limited');
    await own.end(locationOf(taken[0] as Reply));
    expect((await own.begin(1_000)).status).toBe(201);
  });
});
