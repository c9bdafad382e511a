import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { audioFixture, OGG_FIRST, OGG_LAST, oggPage, opusHead } from '../support/audio-files.ts';
import { sha256 } from '../support/care-line.ts';
import { jsonOf, uploadForm } from '../support/http-client.ts';
import { createIntegrator, type Opened } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { startScene } from '../support/scene.ts';

/** What telephony systems deliver and browsers do not play: heard all the same, and kept as it came. */
const PIECE = 512 * 1024;
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene.close());

type Kept = {
  readonly id: string;
  readonly mediaType: string;
  readonly durationMs: number | null;
  readonly flags: readonly string[];
};
type Playable = Opened & { readonly playable: string; readonly peaksUrl: string | null };

const deliver = async (audio: Buffer, type: string): Promise<Kept> =>
  jsonOf<Kept>(
    await scene.http.post('/v1/recordings', {
      token: scene.home.source.apiKey,
      form: uploadForm({ callId: randomUUID(), careUnit: scene.own.id }, audio, type),
    }),
    201,
  );
const open = async ({ id }: Kept): Promise<Playable> =>
  (await people.listening(scene.own.nurse, id)) as Playable;
const originalOf = ({ audioUrl, token }: Opened, headers: Record<string, string> = {}) =>
  scene.http.get(`${audioUrl}?form=original`, { token, headers });

const decoded = audioFixture('decoded.sha256').toString();
const tone = sha256(audioFixture('pcm_s16.wav').subarray(44));

type Format = readonly [file: string, declared: string, mediaType: string, playable: string, samples: string];
const formats: readonly Format[] = [
  ['pcm_s16.wav', 'audio/wav', 'audio/wav', 'original', ''],
  ['pcm_s24-extensible.wav', 'audio/wav', 'audio/wav', 'original', ''],
  ['alaw.wav', 'audio/wav', 'audio/wav', 'original', ''],
  ['ulaw.wav', 'audio/x-wav', 'audio/wav', 'original', ''],
  ['opus.ogg', 'audio/ogg', 'audio/ogg', 'original', ''],
  ['speech.flac', 'audio/flac', 'audio/flac', 'original', ''],
  ['aac.m4a', 'audio/mp4', 'audio/mp4', 'original', ''],
  ['aac-fragmented.m4a', 'audio/x-m4a', 'audio/mp4', 'original', ''],
  ['opus-live.webm', 'audio/webm', 'audio/webm', 'original', ''],
  ['untagged-cbr.mp3', 'audio/mpeg', 'audio/mpeg', 'original', ''],
  ['rf64.wav', 'audio/wav', 'audio/wav', 'derived', tone],
  ['pipe.wav', 'audio/wav', 'audio/wav', 'derived', tone],
  ['pcm_f64.wav', 'audio/wav', 'audio/wav', 'derived', tone],
  ['tone.sln', 'audio/x-slin;rate=8000', 'audio/x-slin;rate=8000', 'derived', tone],
  ['tone.l16', 'audio/L16; rate=8000', 'audio/L16;rate=8000', 'derived', tone],
  ['pcm_s16.au', 'audio/basic', 'audio/x-au', 'derived', tone],
  ['tone.gsm', 'audio/gsm', 'audio/gsm', 'derived', 'tone.gsm'],
  ['speech.gsm', 'audio/x-gsm', 'audio/gsm', 'derived', 'speech.gsm'],
  ['gsm610.wav', 'audio/wav', 'audio/wav', 'derived', 'gsm610.wav'],
  ['tone.g722', 'audio/g722', 'audio/g722', 'derived', 'tone.g722'],
  ['adpcm_ima-stereo.wav', 'audio/wav', 'audio/wav', 'derived', 'adpcm_ima-stereo.wav'],
  ['amr_nb.amr-nb', 'audio/amr', 'audio/amr', 'none', ''],
  ['opus.mka', 'audio/x-matroska', 'audio/matroska', 'original', ''],
];

const intact = audioFixture('pcm_s16.wav');
const lengthAt = (at: number, bytes: number): Buffer => {
  const copy = Buffer.from(intact);
  copy.writeUInt32LE(bytes, at);
  return copy;
};
const lying = Buffer.from('LIST\xff\xff\xff\x70INFO', 'latin1');
test.each<[string, Buffer, string]>([
  ['killed between its two lengths', lengthAt(40, 0), 'length_unknown'],
  ['killed after it had stated a length once', lengthAt(40, 1600), 'length_unknown'],
  [
    'that states a wrong length of its remarks',
    Buffer.concat([lengthAt(4, intact.length + 12 - 8).subarray(0, 36), lying, intact.subarray(36)]),
    'header_invalid',
  ],
])('the whole call of a recorder %s is heard', async (_what, audio, flag) => {
  const kept = await deliver(audio, 'audio/wav');
  expect(kept).toMatchObject({ durationMs: 600, flags: [flag] });
  const opened = await open(kept);
  expect(opened).toMatchObject({ playable: 'derived', durationMs: 600 });
  expect(sha256((await opened.listen()).body.subarray(44))).toBe(tone);
  expect((await originalOf(opened)).body.equals(audio)).toBe(true);
});

test.each(formats)(
  '%s as %s is kept as %s; playable: %s',
  async (file, type, mediaType, playable, samples) => {
    const audio = audioFixture(file);
    const kept = await deliver(audio, type);
    expect(kept).toMatchObject({ mediaType });
    expect(kept.flags).not.toContain('type_mismatch');
    const opened = await open(kept);
    const isDerived = playable === 'derived';
    expect(opened).toMatchObject({
      playable,
      mediaType: isDerived ? 'audio/wav' : mediaType,
      durationMs: kept.durationMs,
    });
    const heard = await opened.listen();
    expect([heard.status, heard.headers['content-type']]).toEqual([200, opened.mediaType]);
    if (isDerived) {
      const hash = sha256(heard.body.subarray(44));
      expect(hash === samples || decoded.includes(`${hash}  ${samples}`)).toBe(true);
    } else expect(heard.body.equals(audio)).toBe(true);
    const original = await originalOf(opened);
    expect([original.status, original.headers['content-type']]).toEqual([200, mediaType]);
    expect(original.body.equals(audio)).toBe(true);
  },
);

test('an MP3 in which only one side speaks is flagged, and the picture of the call shows which', async () => {
  const kept = await deliver(audioFixture('left.mp3'), 'audio/mpeg');
  expect(kept.flags).toEqual(['one_sided']);
  const opened = await open(kept);
  const picture = await scene.http.get(opened.peaksUrl!, { token: opened.token });
  // docs/file-format.md §9: buckets at 6, levels from 16 on, channel after channel.
  const buckets = picture.body.readUInt16BE(6);
  const loudest = (channel: number): number =>
    Math.max(...picture.body.subarray(16 + channel * buckets, 16 + (channel + 1) * buckets));
  const [left, right] = [loudest(0), loudest(1)];
  expect(left).toBeGreaterThan(50);
  expect(right).toBeLessThan(6);
});

test('an idle line in GSM is flagged as silent', async () => {
  expect((await deliver(audioFixture('idle.gsm'), 'audio/gsm')).flags).toEqual(['silent']);
});

test('raw bodies (curl -T) declare their sound the same way', async () => {
  const audio = audioFixture('tone.alaw');
  const reply = await scene.http.put(`/v1/ingest/${randomUUID()}`, {
    token: scene.home.source.apiKey,
    headers: { 'content-type': 'audio/x-alaw', 'x-call-care-unit': scene.own.id },
    body: audio,
  });
  const opened = await open(jsonOf<Kept>(reply, 201));
  expect(opened).toMatchObject({ playable: 'derived', durationMs: 600 });
  expect((await opened.listen()).body.subarray(58).equals(audio)).toBe(true);
});

test('a long Ogg sent as a raw body comes in many pieces and is whole', async () => {
  const pages = Array.from({ length: 400 }, (_, n) =>
    oggPage({
      body: n === 0 ? opusHead(1, 0) : Buffer.alloc(700, n),
      flags: n === 0 ? OGG_FIRST : n === 399 ? OGG_LAST : 0,
      granule: BigInt(n) * 48_000n,
    }),
  );
  const reply = await scene.http.put(`/v1/ingest/${randomUUID()}`, {
    token: scene.home.source.apiKey,
    headers: { 'content-type': 'audio/ogg', 'x-call-care-unit': scene.own.id },
    body: Buffer.concat(pages),
  });
  expect(jsonOf<Kept>(reply, 201)).toMatchObject({ durationMs: 399_000, flags: [] });
});

/** 35 seconds; its derivation is wider than one part. */
const original = Buffer.concat(Array.from({ length: 5 }, () => audioFixture('speech.gsm')));
let gsm: Playable;
let whole: Buffer;
let etag: string;
const total = 44 + (original.length / 33) * 320;

beforeAll(async () => {
  gsm = await open(await deliver(original, 'audio/gsm'));
  const reply = await gsm.listen();
  whole = reply.body;
  etag = reply.headers.etag ?? '';
  expect(reply.headers).toMatchObject({ 'content-length': String(total), 'accept-ranges': 'bytes' });
});

describe('a derivation is served as a file is', () => {
  test('every part is that part of the whole, wherever it begins', async () => {
    expect(whole).toHaveLength(total);
    for (const start of [0, 1, 43, 44, 45, 80_043, 80_044, 80_045, 199_999, total - 2]) {
      const end = Math.min(total, start + 1234);
      const reply = await gsm.listen({ range: `bytes=${start}-${end - 1}` });
      expect([reply.status, reply.headers['content-range'], reply.headers['content-length']]).toEqual([
        206,
        `bytes ${start}-${end - 1}/${total}`,
        String(end - start),
      ]);
      expect(reply.body.equals(whole.subarray(start, end))).toBe(true);
    }
    const suffix = await gsm.listen({ range: 'bytes=-500' });
    expect(suffix.body.equals(whole.subarray(-500))).toBe(true);
  });

  test('asking on from a part that was shortened brings the whole', async () => {
    const parts: Buffer[] = [];
    for (let at = 0; at < total; ) {
      const reply = await gsm.listen({ range: `bytes=${at}-` });
      expect(reply.status).toBe(206);
      expect(reply.body.length).toBeLessThanOrEqual(PIECE);
      expect(reply.headers['content-range']).toBe(`bytes ${at}-${at + reply.body.length - 1}/${total}`);
      parts.push(reply.body);
      at += reply.body.length;
    }
    expect(parts.length).toBeGreaterThan(1);
    expect(Buffer.concat(parts).equals(whole)).toBe(true);
  });

  test('HEAD and conditions are those of the derivation; the original has another tag', async () => {
    const head = await gsm.listen({}, 'HEAD');
    expect([head.status, head.body.length, head.headers['content-length'], head.headers.etag]).toEqual([
      200,
      0,
      String(total),
      etag,
    ]);
    const other = (await originalOf(gsm)).headers.etag ?? '';
    expect(other).not.toBe(etag);
    const range = 'bytes=100-199';
    expect((await gsm.listen({ range, 'if-range': etag })).status).toBe(206);
    const changed = await gsm.listen({ range, 'if-range': other });
    expect([changed.status, changed.body.length]).toEqual([200, total]);
    expect((await gsm.listen({ 'if-none-match': etag })).status).toBe(304);
    expectProblem(await gsm.listen({ 'if-match': other }), 412, 'precondition_failed');
    expect((await originalOf(gsm, { range, 'if-range': other })).body).toEqual(original.subarray(100, 200));
  });

  test.each([`bytes=${total}-`, 'bytes=-0', `bytes=${total + 1_000_000}-`])(
    '%s: 416 with its length',
    async (range) => {
      const reply = await gsm.listen({ range });
      expectProblem(reply, 416, 'range_not_satisfiable');
      expect(reply.headers['content-range']).toBe(`bytes */${total}`);
    },
  );
});

describe('and to nobody else', () => {
  test('another form than the two is refused', async () => {
    for (const query of ['form=mp3', 'form=', 'forms=original', 'form=original&form=original'])
      expectProblem(
        await scene.http.get(`${gsm.audioUrl}?${query}`, { token: gsm.token }),
        400,
        'invalid_request',
      );
  });

  test('whoever may not hear the playback gets neither form', async () => {
    const token = await scene.other.nurse.token();
    for (const url of [gsm.audioUrl, `${gsm.audioUrl}?form=original`])
      expectProblem(await scene.http.get(url, { token }), 404, 'not_found');
  });
});

test('hostile GSM: blocks of noise, a cut, and a header that lies are heard as far as they go', async () => {
  const wav = Buffer.from(audioFixture('gsm610.wav'));
  wav.fill(0xa5, 60, 500);
  const noisy = await open(await deliver(wav, 'audio/wav'));
  expect((await noisy.listen()).body).toHaveLength(44 + 4800 * 2);
  const cut = await deliver(audioFixture('speech.gsm').subarray(0, 1000), 'audio/gsm');
  expect(cut.flags).toContain('truncated');
  expect((await (await open(cut)).listen()).body).toHaveLength(44 + 30 * 320);
  const lies = Buffer.from(audioFixture('gsm610.wav'));
  lies.writeUInt16LE(9, 32);
  const kept = await deliver(lies, 'audio/wav');
  expect(kept.flags).toContain('header_invalid');
  const opened = await open(kept);
  expect(opened).toMatchObject({ playable: 'derived' });
  expect((await opened.listen()).status).toBe(200);
});

test('a program under the name of raw sound is refused', async () => {
  const reply = await scene.http.post('/v1/recordings', {
    token: scene.home.source.apiKey,
    form: uploadForm(
      { callId: randomUUID(), careUnit: scene.own.id },
      Buffer.from('#!/bin/sh\necho\n'.padEnd(600, 'x')),
      'audio/x-slin',
    ),
  });
  expectProblem(reply, 422, 'refused_content');
});
