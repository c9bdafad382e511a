import { createCipheriv, randomBytes } from 'node:crypto';
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import type { GenerationId, OrganisationId, RecordingId } from '../src/core/ids.ts';
import { type ByteRange, TAG_BYTES, VAULT_SEGMENT_BYTES } from '../src/core/sealed-layout.ts';
import { objectAad, VAULT_FORMAT } from '../src/crypto/envelope.ts';
import { keyCommitment } from '../src/crypto/key-commitment.ts';
import { openObject, type SealedObject, sealObject } from '../src/crypto/sealed-object.ts';
import { randomKey } from '../src/crypto/secret.ts';
import { randomHeader } from '../src/crypto/segment-cipher.ts';

/**
 * What sealing and opening cost in memory, beside bare AES-GCM over the same segments in the same minute. Prints figures
 * and asserts nothing; compare ratios, not absolute figures.
 */
const OBJECT_BYTES = 3_650_000;
const RANGE_BYTES = 65_536;
const ROUND_MS = 3_000;

const identity = {
  organisation: '11111111-1111-4111-8111-111111111111' as OrganisationId,
  recording: '22222222-2222-4222-8222-222222222222' as RecordingId,
  generation: '33333333-3333-4333-8333-333333333333' as GenerationId,
};

const freshKey = () => {
  const dek = randomKey();
  const header = randomHeader();
  const commitment = keyCommitment(dek, header, objectAad(identity, VAULT_FORMAT.segmentBytes));
  const wrap = { provider: 'bench', keyId: '00', keyVersion: 1, blob: Buffer.alloc(61) };
  return { ...identity, dek, header, keyCommitment: commitment, wrap };
};

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size);
}

/** Full collections and the longest stop of any: these, not AES, make the tail. */
let gc = { full: 0, all: 0, longestMs: 0 };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { duration, detail } = entry as typeof entry & { detail?: { kind?: number } };
    const full = detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
    gc = { full: gc.full + Number(full), all: gc.all + 1, longestMs: Math.max(gc.longestMs, duration) };
  }
}).observe({ entryTypes: ['gc'] });
/** The observer is told about collections a turn or two later. */
const settled = () => pause(50);

const measure = async (label: string, unit: string, work: () => Promise<number>): Promise<void> => {
  await work();
  await settled();
  gc = { full: 0, all: 0, longestMs: 0 };
  const times: number[] = [];
  const before = process.cpuUsage();
  const start = performance.now();
  let done = 0;
  while (performance.now() - start < ROUND_MS) {
    const t = performance.now();
    done += await work();
    times.push(performance.now() - t);
  }
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(before);
  await settled();
  times.sort((a, b) => a - b);
  const at = (q: number) => (times[Math.floor(times.length * q)] ?? 0).toFixed(3);
  process.stdout.write(
    `${label.padEnd(34)} ${(done / seconds).toFixed(0).padStart(7)} ${unit.padEnd(9)} p50 ${at(0.5)} p99 ${at(0.99)} ms  ` +
      `cpu ${((cpu.user + cpu.system) / 1e6 / seconds).toFixed(2)}  gc ${gc.all}, full ${gc.full}, longest ${gc.longestMs.toFixed(1)} ms\n`,
  );
};

const plain = randomBytes(OBJECT_BYTES);
const key = freshKey();
const sealing = sealObject(key, chunksOf(plain, 65_536));
const parts: Buffer[] = [];
for await (const part of sealing.body) parts.push(part);
const sealed = Buffer.concat(parts);
const opened: SealedObject = openObject(sealing.envelope(), key.dek);

const bareKey = randomBytes(32);
const bare = async (): Promise<number> => {
  for (let offset = 0; offset < plain.length; offset += VAULT_SEGMENT_BYTES) {
    const cipher = createCipheriv('aes-256-gcm', bareKey, Buffer.alloc(12), { authTagLength: TAG_BYTES });
    cipher.update(plain.subarray(offset, offset + VAULT_SEGMENT_BYTES));
    cipher.final();
  }
  return plain.length / 1e6;
};

const sealIn = (size: number) => async (): Promise<number> => {
  for await (const _ of sealObject(freshKey(), chunksOf(plain, size)).body);
  return plain.length / 1e6;
};

const openIn = (size: number) => async (): Promise<number> => {
  const read = async ({ start, end }: ByteRange) => ({
    body: chunksOf(sealed.subarray(start, end), size),
    totalBytes: sealed.length,
  });
  for await (const _ of await opened.readRange({ start: 0, end: plain.length }, read));
  return plain.length / 1e6;
};

const rangeIn = (size: number) => async (): Promise<number> => {
  const start = Math.floor(Math.random() * (plain.length - RANGE_BYTES));
  const read = async (r: ByteRange) => ({
    body: chunksOf(sealed.subarray(r.start, r.end), size),
    totalBytes: sealed.length,
  });
  for await (const _ of await opened.readRange({ start, end: start + RANGE_BYTES }, read));
  return 1;
};

await measure('bare AES-GCM, same segments', 'MB/s', bare);
await measure('seal (with SHA-256), 64 KiB chunks', 'MB/s', sealIn(65_536));
await measure('seal (with SHA-256), 16 KiB chunks', 'MB/s', sealIn(16_384));
await measure('open whole, aligned chunks', 'MB/s', openIn(65_536));
await measure('open whole, 16 KiB chunks', 'MB/s', openIn(16_384));
await measure('open 64 KiB range, aligned chunks', 'ranges/s', rangeIn(65_536));
await measure('open 64 KiB range, 16 KiB chunks', 'ranges/s', rangeIn(16_384));
await measure('derive an object handle', 'opens/s', async () => {
  openObject(sealing.envelope(), key.dek);
  return 1;
});
