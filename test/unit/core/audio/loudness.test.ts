import { describe, expect, test } from 'vitest';
import { parseMp3Header } from '../../../../src/core/audio/mp3-header.ts';
import { decodePeaks, type Peaks } from '../../../../src/core/audio/peaks.ts';
import { pieceDecoderOf } from '../../../../src/core/audio/piece-decoders.ts';
import { wavFile } from '../../../support/audio-files.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

/** Peaks of coded sound, most of them estimated and not decoded: against the speech that all of it was made of. */
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

/** What sounds at the edge of a window may be found in the next one. */
const SLACK = 0.06;
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
    expect(found[Math.floor(found.length * 0.1)]).toBeGreaterThan(-12);
    expect(found[Math.floor(found.length * 0.9)]).toBeLessThan(12);
  });

  test('however the bytes are cut, the picture is the same', () => {
    for (const bytes of [1, 7, 333]) expect(probe(file, bytes).peaks).toEqual(peaks);
  });
});

test.each(['adpcm_ima-stereo.wav', 'adpcm_ms-stereo.wav', 'speech-ima.wav', 'speech-ms.wav'])(
  '%s is decoded: its peaks are those of its samples',
  (file) => {
    const bytes = audioFixture(file);
    const { facts, place, peaks } = probe(file);
    const format = { codec: facts.codec!, channels: facts.channels!, ...place! };
    const samples = pieceDecoderOf(format)!.decode(
      bytes.subarray(place!.start, place!.start + place!.bytes),
      0,
    );
    const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
    expect(peaks).toEqual(probeAudio(wavFile({ data, channels: format.channels })).peaks);
  },
);

test('MP3: where its encoder noted a delay the picture begins with the sound, as players do', () => {
  const tagged = audioFixture('tagged-vbr.mp3');
  const firstLoud = (bytes: Buffer): number => {
    const { levels, framesPerBucket } = decodePeaks(probeAudio(bytes).peaks!)!;
    return levels[0]!.findIndex((level) => level > 40) * framesPerBucket;
  };
  expect(firstLoud(tagged)).toBeLessThan(300);
  // The same frames without the first one, which holds the note.
  const untagged = tagged.subarray(parseMp3Header(tagged, 0)!.frameBytes);
  expect(firstLoud(untagged)).toBeGreaterThan(700);
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
