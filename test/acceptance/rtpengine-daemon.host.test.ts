import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPbxHost, type PbxHost } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { jsonOf } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { type RtpengineDaemon, startRtpengineDaemon } from '../support/rtpengine-daemon.ts';
import { startScene } from '../support/scene.ts';

/**
 * rtpengine's recording daemon itself, of Debian 12 (10.5.3.5), which decodes packets of a call and writes files; that release
 * notifies nobody, so `callvault watch` takes them. Only the kernel module before it is stood in for.
 */
let scene: Awaited<ReturnType<typeof startScene>>;
let host: PbxHost;
let daemon: RtpengineDaemon;
beforeEach(async () => {
  scene = await startScene();
  host = createPbxHost(scene.home.source.apiKey);
  daemon = await startRtpengineDaemon(host.spool);
});
afterEach(async () => {
  await daemon?.close();
  await host?.close();
  await scene?.close();
});

const fixture = (path: string): Buffer => readFileSync(join(import.meta.dirname, '../..', path));
/** The 256 codes of a law, decoded by another program. */
const decoded = (codes: Buffer, sound: Buffer): Buffer => {
  const samples = Buffer.alloc(sound.length * 2);
  for (const [n, code] of sound.entries()) codes.copy(samples, 2 * n, 2 * code, 2 * code + 2);
  return samples;
};
const streams = [
  {
    codec: 'PCMU' as const,
    sound: fixture('fixtures/rash.wav').subarray(58),
    codes: fixture('test/fixtures/audio/ulaw-codes.s16le'),
  },
  {
    codec: 'PCMA' as const,
    sound: fixture('fixtures/rebooking.wav').subarray(58),
    codes: fixture('test/fixtures/audio/alaw-codes.s16le'),
  },
];
/** Behind the header that libavformat writes. */
const soundOf = (wav: Buffer): Buffer => wav.subarray(wav.indexOf('data') + 8);

test('a call of two parties: the mix and each party, taken when they are whole, heard as they were spoken', async () => {
  const { http, own } = scene;
  const integrator = createIntegrator(scene);
  const agent = host.start([
    ...['watch', host.spool, '--url', scene.vault.url, '--key-file', host.keyFile],
    ...['--json', '--interval', '0.3', '--unseen-rest', '0'],
  ]);
  const callId = `0701740605-${randomUUID()}@10.0.0.1`;
  await daemon.call(callId, streams);
  const stored = () => agent.events().filter(({ event }) => event === 'stored');
  await until(() => stored().length === 3 && host.names().length === 0);
  agent.signal('SIGTERM');
  expect((await agent.ended).code).toBe(0);

  const found = await integrator.search(own.nurse, { callId });
  expect(found).toHaveLength(3);
  const heard = await Promise.all(
    found.map(async (id) => {
      const facts = jsonOf<Record<string, unknown>>(
        await http.get(`/v1/recordings/${id}`, { token: await own.nurse.token() }),
        200,
      );
      // Digits of a SIP Call-ID are no caller's number.
      expect(facts).toMatchObject({ callId, callerNumber: null, mediaType: 'audio/wav', flags: [] });
      const { listen } = await integrator.listening(own.nurse, id);
      return { name: String(facts.originalName), sound: soundOf((await listen()).body) };
    }),
  );
  for (const [n, { sound, codes }] of streams.entries()) {
    const spoken = decoded(codes, sound);
    const party = heard.find(({ name }) => name.includes(`-0000100${n}`))?.sound;
    expect(party?.subarray(0, spoken.length).equals(spoken)).toBe(true);
  }
  const mix = heard.find(({ name }) => name.endsWith('-mix.wav'))?.sound ?? Buffer.alloc(0);
  const longest = Math.max(...streams.map(({ sound }) => 2 * sound.length));
  // Both at once, as long as the longer of the two, within half a second.
  expect(Math.abs(mix.length - longest)).toBeLessThan(2 * 8000);
});
