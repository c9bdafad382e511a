import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createAudioProbe } from '../src/core/audio/probe.ts';
import { mp3Frames, wavFile } from '../test/support/audio-files.ts';

/**
 * What probe and peaks cost per byte of an upload, beside the SHA-256 that every upload pays anyway. Calls of 3.6 MB (the
 * size of a mean call in PCM), fed in pieces of 64 KiB as they come from a socket. Run: node bench/audio-probe.ts
 */
const CALL_BYTES = 3_600_000;
const PIECE_BYTES = 65_536;
const ROUND_MS = 700;

const noise = Buffer.alloc(CALL_BYTES);
for (let i = 0, state = 1; i < noise.length; i += 1) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  noise[i] = state >>> 24;
}

/** Each frame of GSM begins alike. */
const gsm = Buffer.from(noise);
for (let at = 0; at < gsm.length; at += 33) gsm[at] = 0xd0 | (gsm[at]! & 15);

const flac = readFileSync(new URL('../test/fixtures/audio/speech.flac', import.meta.url));
const calls: Record<string, Buffer> = {
  'PCM 16 bit mono': wavFile({ data: noise }),
  'PCM 16 bit stereo': wavFile({ data: noise, channels: 2 }),
  'A-law mono': wavFile({ data: noise, tag: 6, bits: 8 }),
  'µ-law stereo': wavFile({ data: noise, tag: 7, bits: 8, channels: 2 }),
  'MP3 16 kbit/s': mp3Frames(CALL_BYTES / 144),
  GSM: gsm,
  'G.722': noise,
  'IMA ADPCM': wavFile({
    data: noise,
    tag: 0x11,
    bits: 4,
    blockAlign: 256,
    extension: Buffer.from([2, 0, 0xf9, 1]),
  }),
  'FLAC, junk inside': Buffer.concat([flac, noise]),
  'nothing known': noise,
};

const inPieces = (call: Buffer, use: (piece: Buffer) => void): void => {
  for (let at = 0; at < call.length; at += PIECE_BYTES) use(call.subarray(at, at + PIECE_BYTES));
};

/** Megabytes per second of one core. */
const rateOf = (call: Buffer, work: (call: Buffer) => void): number => {
  const begin = performance.now();
  let bytes = 0;
  for (; performance.now() - begin < ROUND_MS; bytes += call.length) work(call);
  return bytes / 1000 / (performance.now() - begin);
};

const declared: Record<string, string> = { GSM: 'audio/gsm', 'G.722': 'audio/g722' };

const probe = (call: Buffer, name: string): void => {
  const audio = createAudioProbe({ declaredMediaType: declared[name] ?? '' });
  inPieces(call, audio.push);
  audio.finish();
};

const digest = (call: Buffer): void => {
  const hash = createHash('sha256');
  inPieces(call, (piece) => hash.update(piece));
  hash.digest();
};

for (const [name, call] of Object.entries(calls)) {
  const [probed, hashed] = [rateOf(call, (bytes) => probe(bytes, name)), rateOf(call, digest)];
  const share = `${Math.round((100 * hashed) / probed)} % of what SHA-256 costs`;
  process.stdout.write(
    `${name.padEnd(18)} ${Math.round(probed).toString().padStart(6)} MB/s, ${share} (${Math.round(hashed)} MB/s)\n`,
  );
}
