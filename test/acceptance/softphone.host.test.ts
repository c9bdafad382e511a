import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPbxHost, type PbxHost } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { startScene } from '../support/scene.ts';
import { type Softphone, startSoftphone } from '../support/softphone.ts';

/** A call over SIP and RTP between two softphones (baresip of Debian 12), recorded by libsndfile while it is spoken. */
let scene: Awaited<ReturnType<typeof startScene>>;
let host: PbxHost;
const phones: Softphone[] = [];
beforeEach(async () => {
  scene = await startScene();
  host = createPbxHost(scene.home.source.apiKey);
});
afterEach(async () => {
  for (const phone of phones.splice(0)) await phone.close();
  await host?.close();
  await scene?.close();
});

/** Samples behind the header that libsndfile writes. */
const samplesOf = (wav: Buffer): Int16Array =>
  new Int16Array(new Uint8Array(wav.subarray(wav.indexOf('data') + 8)).buffer);

const FRAME = 160;
/** Loss of A-law: 13 segments of 16 steps each. */
const soundsLike = (heard: Int16Array, said: Int16Array): boolean =>
  heard.every((sample, n) => Math.abs(sample - said[n]!) <= Math.max(16, Math.abs(said[n]!) / 16));

test('both directions of a real call: left alone while it lasts, then taken whole, heard as they were spoken', async () => {
  const { http, own } = scene;
  const said = { caller: generatedCall(20, 1), line: generatedCall(20, 2) };
  for (const [who, sound] of Object.entries(said)) writeFileSync(join(host.home, `${who}.wav`), sound);
  const agent = host.start([
    ...['watch', host.spool, '--url', scene.vault.url, '--key-file', host.keyFile],
    ...['--json', '--interval', '0.2', '--unseen-rest', '0'],
  ]);
  const stored = () => agent.events().filter(({ event }) => event === 'stored');

  const line = await startSoftphone({
    says: join(host.home, 'line.wav'),
    recordings: host.spool,
    seconds: 300,
  });
  phones.push(line);
  await line.ready;
  const caller = await startSoftphone({
    says: join(host.home, 'caller.wav'),
    recordings: host.home,
    calls: line.uri,
    seconds: 12,
  });
  phones.push(caller);
  // A second of sound is there, and grows.
  await until(() => host.names().some((name) => statSync(join(host.spool, name)).size > 16_044));
  expect(host.names()).toHaveLength(2);
  expect(stored()).toEqual([]);
  await caller.ended;
  await until(() => stored().length === 2 && host.names().length === 0);
  agent.signal('SIGTERM');
  expect((await agent.ended).code).toBe(0);

  const integrator = createIntegrator(scene);
  const heard = new Map<string, Int16Array>();
  for (const id of stored().map((event) => String(event.id))) {
    const token = await own.nurse.token();
    const facts = jsonOf<Record<string, unknown>>(await http.get(`/v1/recordings/${id}`, { token }), 200);
    const { listen } = await integrator.listening(own.nurse, id);
    const samples = samplesOf((await listen()).body);
    expect(facts).toMatchObject({ status: 'stored', flags: [], codec: 'pcm_s16', callerNumber: null });
    expect(facts.durationMs).toBe(samples.length / 8);
    heard.set(String(facts.originalName).slice(-7, -4), samples);
  }
  const [encoded, decoded] = [heard.get('enc')!, heard.get('dec')!];
  // A call of twelve seconds, less what it took to answer.
  expect(Math.min(encoded.length, decoded.length)).toBeGreaterThan(3 * 8000);
  expect(encoded).toEqual(samplesOf(said.line).subarray(0, encoded.length));
  const spoken = samplesOf(said.caller);
  // Somewhere: a busy machine loses packets.
  const frames = Array.from({ length: said.caller.length / 2 / FRAME }, (_, frame) => frame * FRAME);
  const wasHeard = (at: number): boolean => {
    const stretch = decoded.subarray(at, at + 10 * FRAME);
    return frames.some((from) => soundsLike(stretch, spoken.subarray(from, from + stretch.length)));
  };
  expect([4000, 8000, 12_000, 16_000, 20_000].some(wasHeard)).toBe(true);
});
