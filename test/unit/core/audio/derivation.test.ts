import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Derivation, derivationOf } from '../../../../src/core/audio/derivation.ts';
import { playableOf } from '../../../../src/core/audio/playable.ts';
import { pcm16, riffChunk, wavFile } from '../../../support/audio-files.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

const derived = (original: Buffer, declared = ''): Derivation => {
  const { facts, place } = probeAudio(original, 4096, declared);
  const { codec, sampleRate, channels } = facts;
  return derivationOf({ codec: codec!, sampleRate: sampleRate!, channels: channels!, place: place! })!;
};

const part = (derivation: Derivation, original: Buffer, start: number, end: number): Buffer => {
  const source = derivation.sourceOf({ start, end });
  return Buffer.concat([
    ...derivation.render({ start, end }, Buffer.from(original.subarray(source.start, source.end))),
  ]);
};
const whole = (derivation: Derivation, original: Buffer) =>
  part(derivation, original, 0, derivation.totalBytes);

const longGsm = Buffer.concat(Array.from({ length: 3 }, () => audioFixture('speech.gsm')));
const g722 = Buffer.concat(Array.from({ length: 30 }, () => audioFixture('tone.g722')));
const cases: readonly (readonly [what: string, original: Buffer, declared: string])[] = [
  ['raw GSM', longGsm, 'audio/gsm'],
  ['GSM in WAV', audioFixture('gsm610.wav'), ''],
  ['G.722', g722, 'audio/g722'],
  ['IMA ADPCM', audioFixture('adpcm_ima-stereo.wav'), ''],
  ['Microsoft ADPCM', audioFixture('adpcm_ms.wav'), ''],
  ['raw samples', audioFixture('tone.sln'), 'audio/x-slin'],
  ['raw samples, the other way about', audioFixture('tone.l16'), 'audio/L16;rate=8000'],
  ['raw A-law, an odd number of them', audioFixture('tone.alaw').subarray(1), 'audio/x-alaw'],
  ['raw µ-law', audioFixture('tone.ulaw'), 'audio/basic'],
  ['AU', audioFixture('pcm_s16.au'), ''],
  ['RF64', audioFixture('rf64.wav'), ''],
  ['WAV written to a pipe', audioFixture('pipe.wav'), ''],
  ['WAV of floats of 64 bits', audioFixture('pcm_f64.wav'), ''],
];

describe.each(cases)('%s', (_, original, declared) => {
  const derivation = derived(original, declared);
  const all = whole(derivation, original);

  test('is a WAV file of the length it says, without anything odd', () => {
    expect(all).toHaveLength(derivation.totalBytes);
    const { facts, place } = probeAudio(all);
    const before = probeAudio(original, 4096, declared).facts;
    expect(facts).toMatchObject({ mediaType: derivation.mediaType, channels: before.channels, flags: [] });
    expect([facts.durationMs, facts.sampleRate]).toEqual([before.durationMs, before.sampleRate]);
    expect(place?.described).toBe(true);
    expect(playableOf(facts, false)).toBe('original');
  });

  test('any part of it is the same as that part of the whole', () => {
    const total = derivation.totalBytes;
    const ends = [0, 1, 43, 44, 45, 57, 58, 59, 80_043, 80_044, 80_045, 160_044, total - 1, total].filter(
      (end) => end <= total,
    );
    for (const start of ends)
      for (const end of ends)
        if (start < end)
          expect(part(derivation, original, start, end).equals(all.subarray(start, end))).toBe(true);
    fc.assert(
      fc.property(fc.nat(total - 1), fc.nat(9000), (start, length) => {
        const end = Math.min(total, start + length + 1);
        return part(derivation, original, start, end).equals(all.subarray(start, end));
      }),
      { numRuns: 60 },
    );
  });

  test('a part asks for what it is made of, and little more', () => {
    const total = derivation.totalBytes;
    for (let start = 0; start < total; start += 7001) {
      const source = derivation.sourceOf({ start, end: Math.min(total, start + 1000) });
      expect(source.end).toBeLessThanOrEqual(original.length);
      expect(source.end - source.start).toBeLessThanOrEqual(6 * 8000 + 1000);
    }
  });

  test('parts that end at its boundaries make the whole', () => {
    const parts: Buffer[] = [];
    for (let start = 0; start < derivation.totalBytes; ) {
      const boundary = derivation.boundary(Math.min(derivation.totalBytes, start + 300_000));
      const end = start + 300_000 >= derivation.totalBytes ? derivation.totalBytes : boundary;
      expect(end).toBeGreaterThan(start);
      parts.push(part(derivation, original, start, end));
      start = end;
    }
    expect(Buffer.concat(parts).equals(all)).toBe(true);
  });
});

test('speech in GSM, over several pieces, is to the bit what sox makes of the whole', () => {
  const original = audioFixture('speech.gsm');
  const samples = whole(derived(original, 'audio/gsm'), original).subarray(44);
  const hash = createHash('sha256').update(samples).digest('hex');
  expect(audioFixture('decoded.sha256').toString()).toContain(`${hash}  speech.gsm`);
});

test('samples are those of the original, behind another header', () => {
  for (const file of ['rf64.wav', 'pipe.wav'])
    expect(whole(derived(audioFixture(file)), audioFixture(file))).toEqual(audioFixture('pcm_s16.wav'));
  const slin = audioFixture('tone.sln');
  expect(whole(derived(slin, 'audio/x-slin'), slin)).toEqual(audioFixture('pcm_s16.wav'));
  const l16 = audioFixture('tone.l16');
  expect(whole(derived(l16, 'audio/L16'), l16)).toEqual(audioFixture('pcm_s16.wav'));
});

describe('what cannot be derived', () => {
  const place = { start: 0, bytes: 100, blockBytes: 2, blockSamples: 1, samples: 50 };
  const facts = { codec: 'pcm_s16', sampleRate: 8000, channels: 1, place } as const;

  test.each([
    ['another codec', { ...facts, codec: 'amr_nb' as const }],
    ['nothing', { ...facts, place: { ...place, bytes: 0, samples: 0 } }],
    ['more than a WAV file holds', { ...facts, place: { ...place, bytes: 2 ** 33, samples: 2 ** 32 } }],
    ['more samples than there are bytes', { ...facts, place: { ...place, samples: 51 } }],
    ['blocks of another size', { ...facts, place: { ...place, blockBytes: 1, samples: 50 } }],
    ['blocks of more samples', { ...facts, place: { ...place, blockSamples: 2 } }],
    ['GSM in blocks of one byte', { ...facts, codec: 'gsm610' as const, place: { ...place, blockBytes: 1 } }],
    [
      'GSM whose frames hold a day',
      { ...facts, codec: 'gsm610' as const, place: { ...place, blockBytes: 33, blockSamples: 691_200_000 } },
    ],
    [
      'more frames than there are',
      {
        ...facts,
        codec: 'gsm610' as const,
        place: { start: 0, bytes: 99, blockBytes: 33, blockSamples: 160, samples: 481 },
      },
    ],
    ['GSM of two channels', { ...facts, codec: 'gsm610' as const, channels: 2 }],
  ])('%s', (_, wrong) => {
    expect(derivationOf(wrong)).toBeNull();
  });

  test('of GSM of a whole day any second is made of six', () => {
    const day = {
      start: 0,
      bytes: 33 * 50 * 86_400,
      blockBytes: 33,
      blockSamples: 160,
      samples: 8000 * 86_400,
    };
    const derivation = derivationOf({ ...facts, codec: 'gsm610', place: day })!;
    expect(derivation.totalBytes).toBe(44 + 2 * 8000 * 86_400);
    const source = derivation.sourceOf({ start: derivation.totalBytes - 1, end: derivation.totalBytes });
    expect(source).toEqual({ start: day.bytes - 6 * 50 * 33, end: day.bytes });
  });
});

test('parts of plain samples end where a segment of the sealed original does', () => {
  const place = { start: 44, bytes: 2 ** 24, blockBytes: 2, blockSamples: 1, samples: 2 ** 23 };
  const derivation = derivationOf({ codec: 'pcm_s16', sampleRate: 8000, channels: 1, place })!;
  for (const reach of [100_000, 524_288, 16_000_000]) {
    const end = derivation.boundary(reach);
    expect(reach - end).toBeLessThan(65_520);
    expect((derivation.sourceOf({ start: 44, end }).end - 65_480) % 65_520).toBe(0);
  }
});

test('a WAV with a broken header is derived to the same sound', () => {
  const data = pcm16(Array.from({ length: 800 }, (_, i) => i * 7));
  const right = wavFile({ data });
  for (const broken of [
    wavFile({ data, riffSize: 0, dataSize: 0 }),
    wavFile({ data, riffSize: 0xffff_ffff, dataSize: 0xffff_ffff }),
    wavFile({ data, blockAlign: 7 }),
    wavFile({ data, riffSize: 0, dataSize: 0, before: riffChunk('LIST', Buffer.alloc(77)) }),
  ]) {
    expect(probeAudio(broken).place?.described).toBe(false);
    expect(whole(derived(broken), broken).equals(right)).toBe(true);
  }
});

test('floats of 64 bits become the samples that they were made of; too loud ones are cut, and no number is silence', () => {
  const file = audioFixture('pcm_f64.wav');
  const tone = audioFixture('pcm_s16.wav').subarray(44);
  expect(whole(derived(file, ''), file).subarray(44).equals(tone)).toBe(true);
  const odd = [0, -0, 1, -1, 2, -1e300, Number.NaN, Number.POSITIVE_INFINITY, 0.5, 1e-300, -0.25, -0.125];
  const data = Buffer.alloc(odd.length * 8);
  for (const [n, value] of odd.entries()) data.writeDoubleLE(value, n * 8);
  const made = wavFile({ tag: 3, bits: 64, channels: 2, data });
  const samples = [0, 0, 32_767, -32_768, 32_767, -32_768, 0, 32_767, 16_384, 0, -8192, -4096];
  expect(whole(derived(made, ''), made).subarray(44).equals(pcm16(samples))).toBe(true);
});
