import { randomUUID } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { canary, hitsBelow, hitsIn } from '../support/canary.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { audio, LIMIT, takesUploads } from '../support/resumable-uploads.ts';
import { metadataHeader, recordingOf, sha256Header } from '../support/tus.ts';
import { inDatabase, inspect } from '../support/vault-inspection.ts';

/** Recordings that come in parts (docs/uploads.md): raced, cut and damaged first, then as they should come. */
const uploads = takesUploads();

describe('two at once', () => {
  test('of two requests one works and the other is told to wait; nothing is mixed', async () => {
    const path = await uploads.begun();
    const first = uploads.tus.standing(path, 0, 10_000, audio.subarray(0, 4_000));
    await until(async () => ((await uploads.rowOf(path))?.parts ?? 0) > 0);
    expectProblem(await uploads.tus.patch(path, 0, audio.subarray(0, 100)), 423, 'upload_locked');
    expect((await uploads.rowOf(path))?.received).toBe(0);
    // Whoever asks where the upload is makes the first stop where it was.
    expect(await uploads.offsetOf(path)).toBe('4000');
    expect(await first.answered).toBe(423);
    const last = await uploads.tus.patch(path, 4_000, audio.subarray(4_000));
    expect((await uploads.heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });

  test('twenty with the same bytes: the upload has them once', async () => {
    const path = await uploads.begun();
    const replies = await Promise.all(
      Array.from({ length: 20 }, () => uploads.tus.patch(path, 0, audio.subarray(0, 70_000))),
    );
    expect(replies.filter(({ status }) => status === 204)).toHaveLength(1);
    expect(replies.filter(({ status }) => ![204, 409, 423].includes(status))).toEqual([]);
    expect(await uploads.offsetOf(path)).toBe('70000');
    const last = await uploads.tus.patch(path, 70_000, audio.subarray(70_000));
    expect((await uploads.heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });
});

/** Past the vault, as another process or a long time would have it. */
const changed = (path: string, sql: string) =>
  inDatabase(uploads.scene.folder, (client) => client.query(sql, [path.split('/').at(-1)]), 'superuser');

describe('beside another process', () => {
  test('whatever it has claimed is left to it until its claim has run out', async () => {
    const path = await uploads.begun();
    const claimed = (until: string) =>
      changed(
        path,
        `UPDATE resumable_upload SET claim = gen_random_uuid(), claimed_until = now() + interval '${until}' WHERE id = $1`,
      );
    await claimed('20 seconds');
    expectProblem(await uploads.tus.patch(path, 0, audio.subarray(0, 100)), 423, 'upload_locked');
    expectProblem(await uploads.tus.end(path), 423, 'upload_locked');
    expect((await uploads.tus.head(path)).status).toBe(423);
    await claimed('-1 second');
    expect((await uploads.tus.patch(path, 0, audio.subarray(0, 100))).status).toBe(204);
    await uploads.tus.end(path);
  });

  test('and an upload has no more parts than rows and objects are worth', async () => {
    const path = await uploads.begun(20_000);
    const part = `'\\x00', 'keyring', 'a', 1, '\\x00'`;
    await changed(
      path,
      `INSERT INTO upload_part (generation, upload_id, start, bytes, header, wrap_provider, wrap_key_id, wrap_version, wrapped_key)
       SELECT gen_random_uuid(), $1, n, 1, ${part} FROM generate_series(0, 9999) AS n`,
    );
    await changed(path, 'UPDATE resumable_upload SET received = 10000 WHERE id = $1');
    expectProblem(await uploads.tus.patch(path, 10_000, Buffer.from('x')), 413, 'too_large');
    await changed(path, 'DELETE FROM upload_part WHERE upload_id = $1');
    await changed(path, 'DELETE FROM resumable_upload WHERE id = $1');
  });
});

describe('a line that is cut', () => {
  test('one that stands still is given up, and what had arrived is kept', async () => {
    const path = await uploads.begun();
    const { answered } = uploads.tus.standing(path, 0, audio.length, audio.subarray(0, 5_000));
    expect(await answered).toBe(408);
    expect(await uploads.offsetOf(path)).toBe('5000');
    await uploads.tus.end(path);
  }, 90_000);

  test('what had arrived is kept to the byte', async () => {
    const path = await uploads.begun();
    const sent = audio.subarray(0, 123_457);
    const { cut, answered } = uploads.tus.standing(path, 0, audio.length, sent);
    await until(async () => ((await uploads.rowOf(path))?.parts ?? 0) > 0);
    await sleep(200);
    cut();
    await answered;
    await until(async () => (await uploads.rowOf(path))?.received === sent.length);
    expect(await uploads.offsetOf(path)).toBe(String(sent.length));
    const last = await uploads.tus.patch(path, sent.length, audio.subarray(sent.length));
    expect((await uploads.heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });

  test('with a checksum nothing of it is, for it cannot be checked', async () => {
    const path = await uploads.begun();
    const checked = { 'upload-checksum': sha256Header(audio) };
    const { cut } = uploads.tus.standing(path, 0, audio.length, audio.subarray(0, 50_000), checked);
    await until(async () => ((await uploads.rowOf(path))?.parts ?? 0) > 0);
    cut();
    await until(async () => (await uploads.rowOf(path))?.parts === 0);
    expect(await uploads.offsetOf(path)).toBe('0');
    const last = await uploads.tus.patch(path, 0, audio, { 'upload-checksum': sha256Header(audio) });
    expect((await uploads.heard(recordingOf(last) ?? '')).equals(audio)).toBe(true);
  });
});

test('OPTIONS says what is spoken', async () => {
  const { status, headers, text } = await uploads.scene.http.ask('OPTIONS', '/v1/uploads');
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
    const path = await uploads.begun(audio.length, {
      callId,
      callerNumber: called.number,
      careUnit: uploads.scene.own.id,
      direction: 'inbound',
      segment: '3',
      channels: 'caller',
      filename: `In ${called.number}.wav`,
      filetype: 'audio/wav',
    });
    await uploads.tus.patch(path, 0, audio.subarray(0, half));
    expect((await hitsBelow(join(uploads.scene.folder.dataDir, 'objects'))).hits).toEqual([]);
    expect((await hitsBelow(join(uploads.scene.folder.dataDir, 'postgres'))).hits).toEqual([]);
    const last = await uploads.tus.patch(path, half, audio.subarray(half));
    expect(last.status).toBe(204);
    const id = recordingOf(last) ?? '';
    const viewed = await uploads.scene.http.get(`/v1/recordings/${id}`, {
      token: await uploads.scene.own.nurse.token(),
    });
    expect(jsonOf(viewed, 200)).toMatchObject({
      callId,
      callerNumber: called.number,
      originalName: `In ${called.number}.wav`,
      direction: 'inbound',
      segment: 3,
      durationMs: 20_000,
      bytes: audio.length,
    });
    expect((await uploads.heard(id)).equals(audio)).toBe(true);
    const told = await uploads.tus.head(path);
    expect(told.headers['upload-offset']).toBe(String(audio.length));
    expect(told.headers['upload-length']).toBe(String(audio.length));
    expect(told.headers['upload-metadata']).toBeUndefined();
    expect(recordingOf(told)).toBe(id);
    expect(await uploads.rowOf(path)).toEqual({ received: audio.length, parts: 0, facts: null });
    expect(await uploads.partFiles()).toBe(0);
    expect((await uploads.tus.end(path)).status).toBe(204);
    expect((await uploads.heard(id)).equals(audio)).toBe(true);
    expect(hitsIn(uploads.scene.vault.output())).toEqual([]);
  });

  test('the same one when it comes again; 422 with other content, for 409 would have it sent again', async () => {
    const callId = randomUUID();
    const send = async (content: Buffer): Promise<Reply> =>
      uploads.tus.patch(await uploads.begun(content.length, { callId }), 0, content);
    const id = recordingOf(await send(audio));
    expect(recordingOf(await send(audio))).toBe(id);
    const problem = expectProblem(await send(generatedCall(20, 8)), 422, 'conflict');
    expect(problem.title).toBe('Unprocessable Entity');
    expect(await uploads.endings()).toContain('recording.refused conflict');
    expect(await uploads.partFiles()).toBe(0);
    const form = {
      token: uploads.scene.home.source.apiKey,
      form: uploadForm({ callId }, generatedCall(20, 8)),
    };
    expectProblem(await uploads.scene.http.post('/v1/recordings', form), 409, 'conflict');
  });

  test('at once, when it has no bytes at all', async () => {
    const reply = await uploads.tus.begin(0);
    expect(reply.status).toBe(201);
    expect(recordingOf(reply)).toMatch(/^[0-9a-f-]{36}$/);
  });
});

/** Of a length that only its end tells. */
const patchedUnannounced = async (path: string, offset: number, body: string): Promise<number> => {
  const { status } = await fetch(uploads.scene.http.url + path, {
    method: 'PATCH',
    headers: {
      authorization: `Bearer ${uploads.scene.home.source.apiKey}`,
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
  const path = await uploads.begun();
  const id = recordingOf(await uploads.tus.patch(path, 0, audio));
  for (const headers of [{}, { 'upload-checksum': sha256Header(none) }]) {
    const empty = await uploads.tus.patch(path, audio.length, none, headers);
    expect(empty.status).toBe(204);
    expect(empty.headers['upload-offset']).toBe(String(audio.length));
    expect(recordingOf(empty)).toBe(id);
  }
  const otherSum = { 'upload-checksum': sha256Header(audio) };
  expect((await uploads.tus.patch(path, audio.length, none, otherSum)).status).toBe(460);
  expectProblem(await uploads.tus.patch(path, 0, audio), 409, 'offset_mismatch');
  expectProblem(await uploads.tus.patch(path, 0, none), 409, 'offset_mismatch');
  expectProblem(await uploads.tus.patch(path, audio.length, Buffer.from('x')), 413, 'too_large');
  expect(await patchedUnannounced(path, audio.length, 'x')).toBe(413);
  expect(await uploads.partFiles()).toBe(0);
  expect((await uploads.heard(id ?? '')).equals(audio)).toBe(true);
});

describe('what is left', () => {
  test('nothing, when a part was damaged on disk: the source is told, and begins anew', async () => {
    const callId = randomUUID();
    const half = audio.length >> 1;
    const path = await uploads.begun(audio.length, { callId });
    await uploads.tus.patch(path, 0, audio.subarray(0, half));
    const [file = ''] = await uploads.partNames();
    await chmod(file, 0o600);
    const bytes = await readFile(file);
    bytes[70_000]! ^= 1;
    await writeFile(file, bytes);
    expectProblem(await uploads.tus.patch(path, half, audio.subarray(half)), 502, 'integrity_failure');
    expect((await uploads.tus.head(path)).status).toBe(404);
    expect(await uploads.partFiles()).toBe(0);
    const again = await uploads.tus.patch(await uploads.begun(audio.length, { callId }), 0, audio);
    expect((await uploads.heard(recordingOf(again) ?? '')).equals(audio)).toBe(true);
  });

  test('nothing, when it is past its time: gone with its parts, its key and its words, and an entry says so', async () => {
    const path = await uploads.begun();
    await uploads.tus.patch(path, 0, audio.subarray(0, 100_000));
    expect(await uploads.partFiles()).toBe(1);
    await inDatabase(
      uploads.scene.folder,
      (client) =>
        client.query(
          `UPDATE resumable_upload SET created_at = now() - interval '3 days', expires_at = now() - interval '1 second' WHERE id = $1`,
          [path.split('/').at(-1)],
        ),
      'superuser',
    );
    expect((await uploads.tus.head(path)).status).toBe(404);
    expectProblem(await uploads.tus.patch(path, 100_000, audio.subarray(100_000)), 404, 'not_found');
    await uploads.scene.vault.stop();
    uploads.scene.vault = await uploads.scene.folder.start({ PORT: new URL(uploads.scene.http.url).port });
    expect(await uploads.rowOf(path)).toBeNull();
    expect(await uploads.partFiles()).toBe(0);
    const told = (await inspect(uploads.scene.folder)).endings.at(-1);
    expect(told).toMatchObject({ action: 'recording.abandoned', eventId: path.split('/').at(-1) });
  });
});
