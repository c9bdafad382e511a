import { describe, expect, test } from 'vitest';
import { decodePeaks, type Peaks } from '../../../../src/core/audio/peaks.ts';
import { pieceDecoderOf } from '../../../../src/core/audio/piece-decoders.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

/** Coded sound whose peaks are estimated and not decoded: against what a decoder makes of the speech all of it was made of. */
const SECONDS = 3;
const RATE = 8000;

const declared: Readonly<Record<string, string>> = { gsm: 'audio/gsm', g722: 'audio/g722' };
const probe = (file: string, chunkBytes = 4096) => {
  const bytes = audioFixture(file);
  return probeAudio(bytes, chunkBytes, declared[file.split('.').at(-1)!] ?? '');
};

/** 16-bit samples, to the bit as libgsm decodes them (decoders.test.ts). */
const speech = pieceDecoderOf({ codec: 'gsm610', channels: 1, blockSamples: 160, blockBytes: 33 })!
  .decode(audioFixture('speech.gsm'), 0)
  .subarray(0, SECONDS * RATE);

const decibels = (amplitude: number): number => 20 * Math.log10(Math.max(amplitude, 1e-6));
const heard = (from: number, to: number): number =>
  decibels(
    speech
      .subarray(Math.max(0, from) * RATE, to * RATE)
      .reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) / 32_768,
  );
const estimated = ({ levels, framesPerBucket, sampleRate }: Peaks, from: number, to: number): number => {
  const bucketAt = (second: number): number => Math.floor((second * sampleRate) / framesPerBucket);
  return decibels(Math.max(...levels[0]!.subarray(Math.max(0, bucketAt(from)), bucketAt(to) + 1)) / 255);
};

/** Encoders delay sound by up to a tenth of a second, so what is a little before and behind counts as well. */
const SLACK = 0.15;
const WINDOW = 0.2;
const windows = Array.from(
  { length: 2 * Math.floor(SECONDS / WINDOW) - 4 },
  (_, i) => 0.2 + (i * WINDOW) / 2,
);

/** By how much an estimate is louder (or less loud) than anything near it, for each window in which something is said. */
const errors = (peaks: Peaks): number[] =>
  windows
    .filter((at) => heard(at, at + WINDOW) > -30)
    .map((at) => {
      const over = estimated(peaks, at, at + WINDOW) - heard(at - SLACK, at + WINDOW + SLACK);
      const under = estimated(peaks, at - SLACK, at + WINDOW + SLACK) - heard(at, at + WINDOW);
      return over > 0 ? over : Math.min(0, under);
    });

const coded = [
  'speech.mp3',
  'speech-vbr.mp3',
  'speech.gsm',
  'speech-gsm.wav',
  'speech.g722',
  'speech-ima.wav',
  'speech-ms.wav',
];

describe.each(coded)('%s', (file) => {
  const { facts, peaks } = probe(file);
  const picture = decodePeaks(peaks!)!;

  test('is heard on its only channel', () => {
    expect(facts.flags).toEqual([]);
    expect(picture.channels).toBe(1);
    expect(picture.levels).toHaveLength(1);
  });

  test('its picture lasts as long as the sound', () => {
    const seconds = (picture.levels[0]!.length * picture.framesPerBucket) / picture.sampleRate;
    expect(Math.abs(seconds - facts.durationMs! / 1000)).toBeLessThan(0.2);
  });

  test('where something is said it is about as loud as a decoder says', () => {
    const found = errors(picture).sort((a, b) => a - b);
    expect(found.length).toBeGreaterThan(10);
    expect(found[Math.floor(found.length / 20)]).toBeGreaterThan(-12);
    expect(found[Math.floor(found.length * 0.95)]).toBeLessThan(12);
  });

  test('however the bytes are cut, the picture is the same', () => {
    for (const bytes of [1, 7, 333]) expect(probe(file, bytes).peaks).toEqual(peaks);
  });
});

test.each(['idle.mp3', 'idle.gsm', 'idle.g722', 'idle-ima.wav'])('%s: an idle line is silent', (file) => {
  expect(probe(file).facts.flags).toEqual(['silent']);
});

test.each(['left.mp3', 'left-44k.mp3', 'left-ms.wav'])('%s: one side speaks, the other is idle', (file) => {
  const { facts, peaks } = probe(file);
  const [left, right] = decodePeaks(peaks!)!.levels.map((levels) => Math.max(...levels));
  expect(facts.flags).toEqual(['one_sided']);
  expect(left).toBeGreaterThan(50);
  expect(right).toBeLessThan(6);
});

test('of a sum and a difference nobody can tell which side is silent: neither is said to be', () => {
  expect(probe('left-as-sum.mp3').facts.flags).toEqual([]);
});

test('MP3 in a WAV file has the peaks of the MP3', () => {
  expect(decodePeaks(probe('mp3.wav').peaks!)!.channels).toBe(1);
});

describe('hostile', () => {
  test('any side information is some amplitude', () => {
    const bytes = Buffer.from(audioFixture('left.mp3'));
    let state = 7;
    for (let at = 0; at < bytes.length; at += 1) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      // Headers stay, so that the frames are found.
      if (at % 144 >= 4) bytes[at] = state >>> 24;
    }
    const { facts, peaks } = probeAudio(bytes, 1000);
    expect(facts.codec).toBe('mp3');
    expect(decodePeaks(peaks!)!.levels).toHaveLength(2);
  });

  test.each([0, 1, 3, 65, 20_000])('ADPCM in blocks of %i bytes: no throw, and no memory by it', (align) => {
    const bytes = Buffer.from(audioFixture('speech-ima.wav'));
    bytes.writeUInt16LE(align, 32);
    const { facts } = probeAudio(bytes, 500);
    expect(facts.codec).toBe('adpcm_ima');
  });

  test('a GSM frame that does not begin as all do is silence', () => {
    const bytes = Buffer.from(audioFixture('speech.gsm'));
    for (let at = 33 * 20; at < bytes.length; at += 33) bytes[at] = 0;
    const { peaks } = probeAudio(bytes, 4096, 'audio/gsm');
    const { levels, framesPerBucket } = decodePeaks(peaks!)!;
    expect(Math.max(...levels[0]!.subarray(Math.ceil((20 * 160) / framesPerBucket)))).toBe(0);
  });
});
