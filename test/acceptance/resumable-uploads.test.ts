import { randomUUID } from 'node:crypto';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canary, hitsBelow, hitsIn } from '../support/canary.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';
import {
  createTus,
  locationOf,
  metadataHeader,
  recordingOf,
  sha256Header,
  type Tus,
} from '../support/tus.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** Recordings that come in parts (docs/uploads.md): hostile first, then as they should come. */
let scene: Awaited<ReturnType<typeof startScene>>;
let tus: Tus;

const LIMIT = 40_000_000;

beforeAll(async () => {
  scene = await startScene({ MAX_UPLOAD_BYTES: String(LIMIT), LOG_LEVEL: 'info' });
  tus = createTus(scene.http, scene.home.source.apiKey);
});
afterAll(() => scene?.close());

const audio = generatedCall(20, 7);

const begun = async (length = audio.length, fields?: Record<string, string>): Promise<string> =>
  locationOf(await tus.begin(length, fields));

const offsetOf = async (path: string): Promise<string | undefined> => {
  const { status, headers } = await tus.head(path);
  expect(status).toBe(200);
  return headers['upload-offset'] as string | undefined;
};

const uploadRow = async (path: string) =>
  inDatabase(scene.folder, async (client) => {
    const id = path.split('/').at(-1);
    const { rows } = await client.query<{ received: number; parts: number; facts: Buffer | null }>(
      `SELECT received::int, facts_sealed AS facts, (SELECT count(*)::int FROM upload_part WHERE upload_id = u.id) AS parts
         FROM resumable_upload u WHERE id = $1`,
      [id],
    );
    return rows[0] ?? null;
  });

/** Files of the store that are parts of uploads. */
const partNames = async (): Promise<string[]> => {
  const root = join(scene.folder.dataDir, 'objects');
  const names = await readdir(root, { recursive: true });
  return names
    .filter((name) => name.endsWith('.part') && !name.startsWith('incoming'))
    .map((name) => join(root, name));
};
const partFiles = async (): Promise<number> => (await partNames()).length;

const heard = async (id: string): Promise<Buffer> => {
  const opened = await createIntegrator(scene).listening(scene.own.nurse, id);
  return (await opened.listen()).body;
};

const endings = async (): Promise<string[]> => {
  const { home, http } = scene;
  const asked = { token: await home.compliance.token(), json: { limit: 5 } };
  const { entries } = jsonOf<{ entries: { action: string; detail: { reason?: string } }[] }>(
    await http.post('/v1/audit/search', asked),
    200,
  );
  return entries.map(({ action, detail }) => `${action} ${detail.reason ?? ''}`.trim());
};

/** A PATCH that sends `sent` bytes of the declared ones and then stands still until it is let go. */
const standing = (path: string, offset: number, declared: number, sent: Buffer) => {
  const { hostname, port } = new URL(scene.http.url);
  const headers = {
    authorization: `Bearer ${scene.home.source.apiKey}`,
    'tus-resumable': '1.0.0',
    'upload-offset': String(offset),
    'content-type': 'application/offset+octet-stream',
    'content-length': String(declared),
  };
  const outgoing = request({ hostname, port, path, method: 'PATCH', headers, agent: false });
  const answered = new Promise<number>((resolve) => {
    outgoing.once('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    outgoing.once('error', () => resolve(0));
  });
  outgoing.write(sent);
  return { answered, cut: () => outgoing.destroy() };
};

const until = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(50);
};

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
    const reply = await tus.begin(length, undefined, headers);
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
      const reply = await tus.begin(10, fields as Record<string, string>);
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
      code(await tus.begin(10, {}, { 'upload-metadata': header }), 400, 'not_acceptable_metadata');
  });
});

describe('what is refused of parts', () => {
  test('bytes with POST; PATCH of another type, without an offset, without a version', async () => {
    const path = await begun();
    const body = audio.subarray(0, 1_000);
    const { token, headers } = { token: scene.home.source.apiKey, headers: { 'tus-resumable': '1.0.0' } };
    const post = {
      token,
      body,
      headers: { ...headers, 'upload-length': '10', 'upload-metadata': 'callId eA==' },
    };
    code(await scene.http.post('/v1/uploads', post), 400, 'invalid_request');
    code(await tus.patch(path, 0, body, { 'content-type': 'audio/wav' }), 415, 'unsupported_media_type');
    code(await tus.patch(path, '', body), 400, 'invalid_request');
    code(await tus.patch(path, '0x0', body), 400, 'invalid_request');
    code(await tus.patch(path, 0, body, { 'tus-resumable': '2.0.0' }), 412, 'unsupported_version');
    code(await tus.patch(path, 0, body, { 'upload-checksum': 'md5 AAAA' }), 400, 'invalid_request');
    code(await tus.patch(path, 0, body, { 'upload-checksum': 'sha256 AAAA' }), 400, 'invalid_request');
    expect(await offsetOf(path)).toBe('0');
    expect(await tus.end(path)).toMatchObject({ status: 204 });
  });

  test('bytes at another offset, beyond the end, with another checksum; and nothing of them is kept', async () => {
    const path = await begun(5_000);
    const body = audio.subarray(0, 2_000);
    expect((await tus.patch(path, 0, body)).headers['upload-offset']).toBe('2000');
    for (const offset of [0, 1_999, 2_001, 5_000])
      code(await tus.patch(path, offset, body), 409, 'offset_mismatch');
    code(await tus.patch(path, 2_000, audio.subarray(0, 3_001)), 413, 'too_large');
    const wrong = { 'upload-checksum': sha256Header(Buffer.from('another body')) };
    code(await tus.patch(path, 2_000, body, wrong), 460, 'checksum_mismatch');
    expect(await offsetOf(path)).toBe('2000');
    expect(await uploadRow(path)).toMatchObject({ received: 2_000, parts: 1 });
    const right = { 'upload-checksum': sha256Header(body) };
    expect(await tus.patch(path, 2_000, body, right)).toMatchObject({ status: 204 });
    expect(await offsetOf(path)).toBe('4000');
    expect(await tus.end(path)).toMatchObject({ status: 204 });
    expect(await partFiles()).toBe(0);
    expect(await endings()).toContain('recording.abandoned client');
  });
});

describe('whose upload it is not', () => {
  test('an upload of another source, of another organisation, an ended one, and none: all alike', async () => {
    const path = await begun();
    const neighbour = await scene.stage.source(scene.home.admin, scene.own.id);
    for (const { apiKey } of [neighbour, scene.foreign.source]) {
      const stranger = createTus(scene.http, apiKey);
      code(await stranger.patch(path, 0, audio.subarray(0, 10)), 404, 'not_found');
      code(await stranger.end(path), 404, 'not_found');
      expect((await stranger.head(path)).status).toBe(404);
    }
    code(await tus.patch(`/v1/uploads/${randomUUID()}`, 0, audio), 404, 'not_found');
    code(await tus.patch('/v1/uploads/not-an-id', 0, audio), 400, 'invalid_request');
    expect(await offsetOf(path)).toBe('0');
    await tus.end(path);
    expect((await tus.head(path)).status).toBe(404);
  });

  test('everything of a source that was disabled meanwhile; nothing of it is lost if it comes back', async () => {
    const source = await scene.stage.source(scene.home.admin, scene.own.id);
    const own = createTus(scene.http, source.apiKey);
    const path = locationOf(await own.begin(audio.length));
    await own.patch(path, 0, audio.subarray(0, 1_000));
    const token = await scene.home.admin.token();
    await scene.http.post(`/v1/admin/sources/${source.id}/disable`, { token });
    code(await own.patch(path, 1_000, audio.subarray(1_000)), 401, 'unauthenticated');
    expect((await own.head(path)).status).toBe(401);
    await scene.http.post(`/v1/admin/sources/${source.id}/enable`, { token });
    const last = await own.patch(path, 1_000, audio.subarray(1_000));
    expect((await heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });

  test('a program, once it is whole, and then nothing of it is left', async () => {
    const elf = Buffer.concat([Buffer.from('\x7fELF'), Buffer.alloc(5_000)]);
    const path = await begun(elf.length);
    code(await tus.patch(path, 0, elf), 422, 'refused_content');
    expect((await tus.head(path)).status).toBe(404);
    expect(await partFiles()).toBe(0);
    expect(await endings()).toContain('recording.refused refused_content');
  });

  test('more unfinished uploads than a source may have', async () => {
    const source = await scene.stage.source(scene.home.admin, scene.own.id);
    const own = createTus(scene.http, source.apiKey);
    const replies = await Promise.all(Array.from({ length: 110 }, () => own.begin(1_000)));
    const taken = replies.filter(({ status }) => status === 201);
    expect(taken).toHaveLength(100);
    code(replies.find(({ status }) => status !== 201) as Reply, 429, 'rate_limited');
    await own.end(locationOf(taken[0] as Reply));
    expect((await own.begin(1_000)).status).toBe(201);
  });
});

describe('two at once', () => {
  test('of two requests one works and the other is told to wait; nothing is mixed', async () => {
    const path = await begun();
    const first = standing(path, 0, 10_000, audio.subarray(0, 4_000));
    await until(async () => ((await uploadRow(path))?.parts ?? 0) > 0);
    expectProblem(await tus.patch(path, 0, audio.subarray(0, 100)), 423, 'upload_locked');
    expect((await uploadRow(path))?.received).toBe(0);
    // Whoever asks where the upload is makes the first stop where it was.
    expect(await offsetOf(path)).toBe('4000');
    expect(await first.answered).toBe(423);
    const last = await tus.patch(path, 4_000, audio.subarray(4_000));
    expect((await heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });

  test('twenty with the same bytes: the upload has them once', async () => {
    const path = await begun();
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => tus.patch(path, 0, audio.subarray(0, 70_000))),
    );
    expect(replies.filter(({ status }) => status === 204)).toHaveLength(1);
    expect(replies.filter(({ status }) => ![204, 409, 423].includes(status))).toEqual([]);
    expect(await offsetOf(path)).toBe('70000');
    const last = await tus.patch(path, 70_000, audio.subarray(70_000));
    expect((await heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });
});

/** Past the vault, as another process or a long time would have it. */
const changed = (path: string, sql: string) =>
  inDatabase(scene.folder, (client) => client.query(sql, [path.split('/').at(-1)]), 'superuser');

describe('beside another process', () => {
  test('whatever it has claimed is left to it until its claim has run out', async () => {
    const path = await begun();
    const claimed = (until: string) =>
      changed(
        path,
        `UPDATE resumable_upload SET claim = gen_random_uuid(), claimed_until = now() + interval '${until}' WHERE id = $1`,
      );
    await claimed('20 seconds');
    expectProblem(await tus.patch(path, 0, audio.subarray(0, 100)), 423, 'upload_locked');
    expectProblem(await tus.end(path), 423, 'upload_locked');
    expect((await tus.head(path)).status).toBe(423);
    await claimed('-1 second');
    expect((await tus.patch(path, 0, audio.subarray(0, 100))).status).toBe(204);
    await tus.end(path);
  });

  test('and an upload has no more parts than rows and objects are worth', async () => {
    const path = await begun(20_000);
    const part = `'\\x00', 'keyring', 'a', 1, '\\x00'`;
    await changed(
      path,
      `INSERT INTO upload_part (generation, upload_id, start, bytes, header, wrap_provider, wrap_key_id, wrap_version, wrapped_key)
       SELECT gen_random_uuid(), $1, n, 1, ${part} FROM generate_series(0, 9999) AS n`,
    );
    await changed(path, 'UPDATE resumable_upload SET received = 10000 WHERE id = $1');
    expectProblem(await tus.patch(path, 10_000, Buffer.from('x')), 413, 'too_large');
    await changed(path, 'DELETE FROM upload_part WHERE upload_id = $1');
    await changed(path, 'DELETE FROM resumable_upload WHERE id = $1');
  });
});

describe('a line that is cut', () => {
  test('one that stands still is given up, and what had arrived is kept', async () => {
    const path = await begun();
    const { answered } = standing(path, 0, audio.length, audio.subarray(0, 5_000));
    expect(await answered).toBe(408);
    expect(await offsetOf(path)).toBe('5000');
    await tus.end(path);
  }, 90_000);

  test('what had arrived is kept to the byte', async () => {
    const path = await begun();
    const sent = audio.subarray(0, 123_457);
    const { cut, answered } = standing(path, 0, audio.length, sent);
    await until(async () => ((await uploadRow(path))?.parts ?? 0) > 0);
    await sleep(200);
    cut();
    await answered;
    await until(async () => (await uploadRow(path))?.received === sent.length);
    expect(await offsetOf(path)).toBe(String(sent.length));
    const last = await tus.patch(path, sent.length, audio.subarray(sent.length));
    expect((await heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });

  test('with a checksum nothing of it is, for it cannot be checked', async () => {
    const path = await begun();
    const { hostname, port } = new URL(scene.http.url);
    const outgoing = request({
      ...{ hostname, port, path, method: 'PATCH', agent: false },
      headers: {
        authorization: `Bearer ${scene.home.source.apiKey}`,
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'upload-checksum': sha256Header(audio),
        'content-type': 'application/offset+octet-stream',
        'content-length': String(audio.length),
      },
    });
    outgoing.on('error', () => undefined);
    outgoing.write(audio.subarray(0, 50_000));
    await until(async () => ((await uploadRow(path))?.parts ?? 0) > 0);
    outgoing.destroy();
    await until(async () => (await uploadRow(path))?.parts === 0);
    expect(await offsetOf(path)).toBe('0');
    const last = await tus.patch(path, 0, audio, { 'upload-checksum': sha256Header(audio) });
    expect((await heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });
});

test('OPTIONS says what is spoken', async () => {
  const { status, headers, text } = await scene.http.ask('OPTIONS', '/v1/uploads');
  expect({ status, text }).toEqual({ status: 204, text: '' });
  expect(headers).toMatchObject({
    'tus-version': '1.0.0',
    'tus-extension': 'creation,checksum,termination,expiration',
    'tus-max-size': String(LIMIT),
    'tus-checksum-algorithm': 'sha256',
  });
  expect(metadataHeader({ a: 'b' })).toBe('a Yg==');
});

describe('what it becomes', () => {
  const called = { number: canary.number, digits: canary.digits };

  test('a recording with all that was said of it, and no number anywhere in plain text', async () => {
    const callId = `${called.digits}-${randomUUID()}`;
    const half = audio.length >> 1;
    const path = await begun(audio.length, {
      callId,
      callerNumber: called.number,
      careUnit: scene.own.id,
      direction: 'inbound',
      segment: '3',
      channels: 'caller',
      filename: `In ${called.number}.wav`,
      filetype: 'audio/wav',
    });
    await tus.patch(path, 0, audio.subarray(0, half));
    expect((await hitsBelow(join(scene.folder.dataDir, 'objects'))).hits).toEqual([]);
    expect((await hitsBelow(join(scene.folder.dataDir, 'postgres'))).hits).toEqual([]);
    const last = await tus.patch(path, half, audio.subarray(half));
    expect(last.status).toBe(204);
    const id = recordingOf(last) ?? '';
    const viewed = await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() });
    expect(jsonOf(viewed, 200)).toMatchObject({
      callId,
      callerNumber: called.number,
      originalName: `In ${called.number}.wav`,
      direction: 'inbound',
      segment: 3,
      durationMs: 20_000,
      bytes: audio.length,
    });
    expect((await heard(id)).equals(audio)).toBe(true);
    const told = await tus.head(path);
    expect(told.headers['upload-offset']).toBe(String(audio.length));
    expect(told.headers['upload-length']).toBe(String(audio.length));
    expect(told.headers['upload-metadata']).toBeUndefined();
    expect(recordingOf(told)).toBe(id);
    expect(await uploadRow(path)).toEqual({ received: audio.length, parts: 0, facts: null });
    expect(await partFiles()).toBe(0);
    expect((await tus.end(path)).status).toBe(204);
    expect((await heard(id)).equals(audio)).toBe(true);
    expect(hitsIn(scene.vault.output())).toEqual([]);
  });

  test('the same one when it comes again; 422 with other content, for 409 would have it sent again', async () => {
    const callId = randomUUID();
    const send = async (content: Buffer): Promise<Reply> =>
      tus.patch(await begun(content.length, { callId }), 0, content);
    const id = recordingOf(await send(audio));
    expect(recordingOf(await send(audio))).toBe(id);
    const problem = expectProblem(await send(generatedCall(20, 8)), 422, 'conflict');
    expect(problem.title).toBe('Unprocessable Entity');
    expect(await endings()).toContain('recording.refused conflict');
    expect(await partFiles()).toBe(0);
    const form = { token: scene.home.source.apiKey, form: uploadForm({ callId }, generatedCall(20, 8)) };
    expectProblem(await scene.http.post('/v1/recordings', form), 409, 'conflict');
  });

  test('at once, when it has no bytes at all', async () => {
    const reply = await tus.begin(0);
    expect(reply.status).toBe(201);
    expect(recordingOf(reply)).toMatch(/^[0-9a-f-]{36}$/);
  });
});

/** Of a length that only its end tells. */
const patchedUnannounced = async (path: string, offset: number, body: string): Promise<number> => {
  const { status } = await fetch(scene.http.url + path, {
    method: 'PATCH',
    headers: {
      authorization: `Bearer ${scene.home.source.apiKey}`,
      'tus-resumable': '1.0.0',
      'upload-offset': String(offset),
      'content-type': 'application/offset+octet-stream',
    },
    body: new Blob([body]).stream(),
    duplex: 'half',
  } as RequestInit);
  return status;
};

test('what has become a recording is at its own offset, and nothing can be added to it', async () => {
  const none = Buffer.alloc(0);
  const path = await begun();
  const id = recordingOf(await tus.patch(path, 0, audio));
  for (const headers of [{}, { 'upload-checksum': sha256Header(none) }]) {
    const empty = await tus.patch(path, audio.length, none, headers);
    expect(empty.status).toBe(204);
    expect(empty.headers['upload-offset']).toBe(String(audio.length));
    expect(recordingOf(empty)).toBe(id);
  }
  const otherSum = { 'upload-checksum': sha256Header(audio) };
  expect((await tus.patch(path, audio.length, none, otherSum)).status).toBe(460);
  expectProblem(await tus.patch(path, 0, audio), 409, 'offset_mismatch');
  expectProblem(await tus.patch(path, 0, none), 409, 'offset_mismatch');
  expectProblem(await tus.patch(path, audio.length, Buffer.from('x')), 413, 'too_large');
  expect(await patchedUnannounced(path, audio.length, 'x')).toBe(413);
  expect(await partFiles()).toBe(0);
  expect((await heard(id ?? '')).equals(audio)).toBe(true);
});

describe('what is left', () => {
  test('nothing, when a part was damaged on disk: the source is told, and begins anew', async () => {
    const callId = randomUUID();
    const half = audio.length >> 1;
    const path = await begun(audio.length, { callId });
    await tus.patch(path, 0, audio.subarray(0, half));
    const [file = ''] = await partNames();
    await chmod(file, 0o600);
    const bytes = await readFile(file);
    bytes[70_000]! ^= 1;
    await writeFile(file, bytes);
    expectProblem(await tus.patch(path, half, audio.subarray(half)), 502, 'integrity_failure');
    expect((await tus.head(path)).status).toBe(404);
    expect(await partFiles()).toBe(0);
    const again = await tus.patch(await begun(audio.length, { callId }), 0, audio);
    expect((await heard(recordingOf(again) ?? '')).equals(audio)).toBe(true);
  });

  test('nothing, when it is past its time: gone with its parts, its key and its words, and an entry says so', async () => {
    const path = await begun();
    await tus.patch(path, 0, audio.subarray(0, 100_000));
    expect(await partFiles()).toBe(1);
    await inDatabase(
      scene.folder,
      (client) =>
        client.query(
          `UPDATE resumable_upload SET created_at = now() - interval '3 days', expires_at = now() - interval '1 second' WHERE id = $1`,
          [path.split('/').at(-1)],
        ),
      'superuser',
    );
    expect((await tus.head(path)).status).toBe(404);
    expectProblem(await tus.patch(path, 100_000, audio.subarray(100_000)), 404, 'not_found');
    await scene.vault.stop();
    scene.vault = await scene.folder.start({ PORT: new URL(scene.http.url).port });
    expect(await uploadRow(path)).toBeNull();
    expect(await partFiles()).toBe(0);
    const told = (await inspect(scene.folder)).endings.at(-1);
    expect(told).toMatchObject({ action: 'recording.abandoned', eventId: path.split('/').at(-1) });
  });
});
