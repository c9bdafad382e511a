import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derivationOf } from '../../../../src/core/audio/derivation.ts';
import { placeToKeep, readPlace } from '../../../../src/core/audio/sound-place.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

const kept = (file: string, declared = '') => {
  const { facts, place } = probeAudio(audioFixture(file), 4096, declared);
  return placeToKeep(facts, place);
};

describe('the place of the sound is kept', () => {
  test.each([
    ['gsm610.wav', ''],
    ['pipe.wav', ''],
    ['rf64.wav', ''],
    ['tone.sln', 'audio/x-slin'],
    ['adpcm_ms.wav', ''],
    ['ulaw.au', ''],
    ['pcm_f64.wav', ''],
  ])('of %s, from which a file is derived, and read again', (file, declared) => {
    const place = kept(file, declared);
    expect(readPlace(JSON.parse(JSON.stringify(place)), audioFixture(file).length)).toEqual(place);
    expect(place).not.toHaveProperty('described');
  });

  test.each(['pcm_s16.wav', 'alaw.wav', 'mp3.wav', 'opus.ogg', 'amr_nb.amr-nb'])('not of %s', (file) => {
    expect(kept(file)).toBeNull();
  });
});

test.each([null, undefined, 0, 'wav', [], {}, { start: 0 }])('%j is no place', (value) => {
  expect(readPlace(value, 1000)).toBeNull();
});

test('whatever numbers stand in a row, a derivation is made of what is there or not at all', () => {
  const number = fc.oneof(
    fc.nat(3000),
    fc.constantFrom(-1, 0.5, 1, 2, 33, 65, 160, 320, 2 ** 31, 2 ** 53, Number.NaN, Number.MAX_VALUE),
  );
  const block = fc.constantFrom([2, 1], [33, 160], [65, 320], [1, 2], [256, 505], [20, 33]);
  const right = fc
    .tuple(fc.nat(50), fc.nat(60), block, fc.nat(40))
    .map(([start, blocks, [bytes, samples], off]) => ({
      start,
      bytes: blocks * bytes!,
      blockBytes: bytes!,
      blockSamples: samples!,
      samples: Math.max(0, blocks * samples! - off),
    }));
  const place = fc
    .tuple(
      right,
      fc.option(fc.tuple(fc.constantFrom('start', 'bytes', 'blockBytes', 'blockSamples', 'samples'), number)),
    )
    .map(([numbers, change]) => (change === null ? numbers : { ...numbers, [change[0]]: change[1] }));
  const codec = fc.constantFrom('pcm_s16' as const, 'gsm610' as const, 'g722' as const, 'adpcm_ima' as const);
  const original = Buffer.alloc(2000, 0xd5);
  let derived = 0;
  fc.assert(
    fc.property(place, codec, fc.nat(1000), (numbers, name, at) => {
      const read = readPlace(numbers, original.length);
      const derivation = read && derivationOf({ codec: name, sampleRate: 8000, channels: 1, place: read });
      if (!derivation) return;
      derived += 1;
      const start = at % derivation.totalBytes;
      const range = { start, end: Math.min(derivation.totalBytes, start + 300) };
      const source = derivation.sourceOf(range);
      expect(source.start).toBeGreaterThanOrEqual(0);
      expect(source.end).toBeLessThanOrEqual(original.length);
      const parts = [...derivation.render(range, original.subarray(source.start, source.end))];
      expect(Buffer.concat(parts)).toHaveLength(range.end - range.start);
    }),
    { numRuns: 20_000 },
  );
  expect(derived).toBeGreaterThan(500);
});
