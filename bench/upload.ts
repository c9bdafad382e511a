import { randomUUID } from 'node:crypto';
import { createAudioProbe } from '../src/core/audio/probe.ts';
import { inTurns, type Load } from './in-turns.ts';
import { head, runLoad } from './load.ts';
import { mp3, pinLoad, row, startBare, startVault, warmPageCache, wav } from './scene.ts';

/** `npm run bench:upload`: 3.6 MB WAVs, 8 at once, raw PUT, against a bare server that writes plain files with fsync. */
const BYTES = 3_650_000;
const SECONDS = Number(process.env.BENCH_SECONDS ?? 4);

pinLoad();
const vault = await startVault();
const bare = await startBare();
const audio = wav(BYTES);

const put = (path: string, token: string): Buffer[] => [
  head([
    `PUT ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${token}`,
    'Content-Type: audio/wav',
    `Content-Length: ${BYTES}`,
  ]),
  audio,
];

const load =
  ({ port, pid }: { port: number; pid: number }, next: () => readonly Buffer[]): Load =>
  async () => {
    await warmPageCache();
    return runLoad({ port, server: pid, connections: 8, seconds: SECONDS, next, expect: [201] });
  };

const [onBare, onVault] = await inTurns(
  load(bare, () => put('/upload', bare.token)),
  load(vault, () => put(`/v1/ingest/${randomUUID()}.wav`, vault.apiKey)),
);

row(['', 'uploads/s', 'MB/s', 'p50 ms', 'p99 ms', 'CPU ms']);
for (const [name, { perSecond, p50, p99, cpuMs }] of [
  ['bare', onBare],
  ['vault', onVault],
] as const)
  row([`${name}, 3.65 MB, 8 at once`, perSecond, (perSecond * BYTES) / 1e6, p50, p99, cpuMs]);
row(['']);
row(['ratio uploads (promised 0.6)', onVault.perSecond / onBare.perSecond]);
row(['  the same by processor time', onBare.cpuMs / onVault.cpuMs]);

const PIECE_BYTES = 65_536;
const PROBES = 300;
/** Milliseconds of processor time that one recording's probe and peaks take, fed as it comes from a socket. */
const probeMs = (recording: Buffer): number => {
  const { user, system } = process.cpuUsage();
  for (let n = 0; n < PROBES; n += 1) {
    const probe = createAudioProbe();
    for (let at = 0; at < BYTES; at += PIECE_BYTES) probe.push(recording.subarray(at, at + PIECE_BYTES));
    probe.finish();
  }
  const used = process.cpuUsage();
  return (used.user + used.system - user - system) / 1000 / PROBES;
};
const shares = [probeMs(audio), probeMs(mp3(BYTES))].map((ms) => ms / onVault.cpuMs);
row(['share of probe and peaks (promised under 0.15)', (shares[0]! + shares[1]!) / 2]);
row(['  of WAV, of MP3 at 16 kbit/s', shares[0]!, shares[1]!]);

await vault.close();
await bare.close();
