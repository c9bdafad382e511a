import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { startScene } from '../support/scene.ts';

/** Damaged or unknown audio is evidence all the same: kept bit for bit, flagged, and played as it came. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene.close());

type Kept = {
  readonly id: string;
  readonly bytes: number;
  readonly durationMs: number | null;
  readonly mediaType: string;
  readonly flags: readonly string[];
};

const form = (audio: Buffer): Promise<Reply> =>
  scene.http.post('/v1/recordings', {
    token: scene.home.source.apiKey,
    form: uploadForm({ callId: randomUUID(), careUnit: scene.own.id }, audio),
  });
/** A raw body as the headers frame it, without a byte of it. */
const nothingFramed = (framing: Readonly<Record<string, string>>): Promise<Reply> =>
  scene.http.put(`/v1/ingest/${randomUUID()}`, {
    token: scene.home.source.apiKey,
    headers: { 'x-call-care-unit': scene.own.id, ...framing },
  });

/** What its nurse is told of it and hears. */
const expectKept = async (kept: Kept, audio: Buffer): Promise<{ readonly hasPeaks: boolean }> => {
  expect(kept.bytes).toBe(audio.length);
  const token = await scene.own.nurse.token();
  const facts = jsonOf<Kept>(await scene.http.get(`/v1/recordings/${kept.id}`, { token }), 200);
  expect(facts).toMatchObject({ flags: kept.flags, durationMs: kept.durationMs, bytes: audio.length });
  expect(await people.search(scene.own.nurse, {})).toContain(kept.id);
  const opened = await people.listening(scene.own.nurse, kept.id);
  const heard = await opened.listen();
  expect(heard.status).toBe(200);
  expect(heard.body.equals(audio)).toBe(true);
  const [entry] = await people.entries({ action: 'recording.stored', recording: kept.id });
  expect(entry?.detail.flags).toEqual(kept.flags);
  return { hasPeaks: opened.peaksUrl !== null };
};

test('a WAV that ends before its header says: truncated, with the length that came and the picture of it', async () => {
  const audio = generatedCall(4, 71).subarray(0, 20_001);
  const kept = jsonOf<Kept>(await form(audio), 201);
  expect(kept).toMatchObject({ mediaType: 'audio/wav', flags: ['truncated'] });
  expect(kept.durationMs).toBeLessThan(4000);
  expect(await expectKept(kept, audio)).toEqual({ hasPeaks: true });
});

test('a WAV of which only half the header came', async () => {
  const audio = generatedCall(1, 72).subarray(0, 22);
  const kept = jsonOf<Kept>(await form(audio), 201);
  expect(kept).toMatchObject({ durationMs: null, flags: ['header_invalid', 'empty'] });
  expect(await expectKept(kept, audio)).toEqual({ hasPeaks: false });
});

test('garbage that calls itself WAV', async () => {
  const audio = Buffer.concat([Buffer.from('nothing known '), randomBytes(200_000)]);
  const kept = jsonOf<Kept>(await form(audio), 201);
  expect(kept).toMatchObject({ durationMs: null });
  expect(kept.flags).toContain('unknown_format');
  expect(await expectKept(kept, audio)).toEqual({ hasPeaks: false });
});

test.each<[string, () => Promise<Reply>]>([
  ['in no chunks', () => nothingFramed({ 'content-type': 'audio/wav', 'transfer-encoding': 'chunked' })],
  ['in no chunks of no type', () => nothingFramed({ 'transfer-encoding': 'chunked' })],
  ['of length 0, as curl -T sends an empty file', () => nothingFramed({ 'content-length': '0' })],
  ['of length 0 and a type', () => nothingFramed({ 'content-type': 'audio/wav', 'content-length': '0' })],
  ['in a form', () => form(Buffer.alloc(0))],
])('nothing at all, %s', async (_how, deliver) => {
  const nothing = Buffer.alloc(0);
  const kept = jsonOf<Kept>(await deliver(), 201);
  expect(kept).toMatchObject({ bytes: 0, durationMs: null });
  expect(kept.flags).toContain('empty');
  expect(await expectKept(kept, nothing)).toEqual({ hasPeaks: false });
});
