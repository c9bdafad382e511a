import { readFileSync } from 'node:fs';
import { execPath } from 'node:process';
import { describe, expect, test } from 'vitest';
import type { Codec } from '../../../../src/core/audio/facts.ts';
import { decodePeaks } from '../../../../src/core/audio/peaks.ts';
import { createAudioProbe } from '../../../../src/core/audio/probe.ts';
import { sampleFormatOf } from '../../../../src/core/audio/samples.ts';
import { mp3Frames, OGG_FIRST, OGG_LAST, oggPage, opusHead, webmOpus } from '../../../support/audio-files.ts';
import { declaredFixtures, fixtures, withoutLength } from '../../../support/audio-fixture-facts.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

/** Places at which a file is cut in two; each of them is a probe. */
const SPLITS = 1500;

/** The tone has −6 dB; what is estimated of it may be 8 dB less (loudness.test.ts says what is of speech). */
const least = (codec: string | null): number => (sampleFormatOf(codec as Codec) === null ? 50 : 125);

describe('files made by sox, lame, opusenc and ffmpeg', () => {
  test.each(fixtures)(
    '%s',
    (file, mediaType, codec, sampleRate, channels, declaredDurationMs, durationMs) => {
      const { facts, peaks, refusal } = probeAudio(audioFixture(file));
      expect(facts).toMatchObject({ mediaType, codec, sampleRate, channels, declaredDurationMs, durationMs });
      expect(facts.flags).toEqual(withoutLength.has(file) ? ['length_unknown'] : []);
      expect(refusal).toBeNull();
      if (peaks !== null) expect(Math.max(...decodePeaks(peaks)!.levels[0]!)).toBeGreaterThan(least(codec));
    },
  );

  test.each(fixtures)('%s, in pieces of one byte and of odd lengths, is the same', (file) => {
    const bytes = audioFixture(file);
    const whole = probeAudio(bytes);
    for (const pieceBytes of [1, 13, 997]) expect(probeAudio(bytes, pieceBytes)).toEqual(whole);
  });

  test.each(fixtures)('%s, of which each first piece is gone before the rest comes, is the same', (file) => {
    const bytes = audioFixture(file);
    const whole = probeAudio(bytes);
    const step = Math.ceil(bytes.length / SPLITS);
    for (let at = 1; at < bytes.length; at += step) {
      const probe = createAudioProbe();
      for (const part of [bytes.subarray(0, at), bytes.subarray(at)]) {
        const piece = new Uint8Array(part);
        probe.push(piece);
        piece.buffer.transfer(0);
      }
      expect(probe.finish()).toEqual(whole);
    }
  });

  test.each([700, 4096, 16_384, 17_500, 65_536])('long ones, in pieces of %i bytes', (pieceBytes) => {
    const pages = Array.from({ length: 400 }, (_, n) =>
      oggPage({
        body: n === 0 ? opusHead(1, 0) : Buffer.alloc(700, n),
        flags: n === 0 ? OGG_FIRST : n === 399 ? OGG_LAST : 0,
        granule: BigInt(n) * 48_000n,
      }),
    );
    expect(probeAudio(Buffer.concat(pages), pieceBytes).facts).toMatchObject({
      durationMs: 399_000,
      flags: [],
    });
    expect(probeAudio(webmOpus(60), pieceBytes).facts).toMatchObject({
      codec: 'opus',
      durationMs: 60_000,
      flags: ['length_unknown'],
    });
  });
});

describe('sound without a container', () => {
  test.each(declaredFixtures)(
    '%s: %s',
    (declared, file, mediaType, codec, sampleRate, channels, declaredDurationMs, durationMs) => {
      const bytes = audioFixture(file);
      const whole = probeAudio(bytes, bytes.length, declared);
      expect(whole.facts).toEqual({
        container: 'raw',
        ...{ mediaType, codec, sampleRate, channels, declaredDurationMs, durationMs },
        flags: [],
      });
      expect(Math.max(...decodePeaks(whole.peaks!)!.levels[0]!)).toBeGreaterThan(least(codec));
      for (const pieceBytes of [1, 13, 997]) expect(probeAudio(bytes, pieceBytes, declared)).toEqual(whole);
    },
  );

  test.each(declaredFixtures)(
    '%s: %s, cut at every byte, is whole blocks and never more',
    (declared, file) => {
      const bytes = audioFixture(file).subarray(0, 700);
      for (let length = 0; length <= bytes.length; length += 1) {
        const { facts, place } = probeAudio(bytes.subarray(0, length), 4096, declared);
        if (length === 0) {
          expect(facts.flags).toEqual(['empty']);
          continue;
        }
        expect(place!.bytes % place!.blockBytes).toBe(0);
        expect(length - place!.bytes).toBeLessThan(place!.blockBytes);
        expect(facts.flags.includes('truncated')).toBe(place!.bytes < length);
      }
    },
  );
});

describe('sound without a container, at its limits', () => {
  test('silence is flagged, on both channels or on one', () => {
    const flags = (declared: string, bytes: Buffer) => probeAudio(bytes, 4096, declared).facts.flags;
    expect(flags('audio/x-slin', Buffer.alloc(800))).toEqual(['silent']);
    expect(flags('audio/x-alaw', Buffer.alloc(800, 0xd5))).toEqual(['silent']);
    const left = Buffer.alloc(4000);
    for (let at = 0; at < left.length; at += 4) left.writeInt16LE(9000, at);
    expect(flags('audio/x-slin;channels=2', left)).toEqual(['one_sided']);
  });

  test('rates and channels that cannot be are as if not stated', () => {
    for (const parameters of [
      'rate=0',
      'rate=999999',
      'rate=8e3',
      'channels=0',
      'channels=33;rate=16000',
      'rate=-1',
    ])
      expect(probeAudio(Buffer.alloc(800, 1), 800, `audio/x-slin;${parameters}`).facts).toMatchObject({
        mediaType: 'audio/x-slin;rate=8000',
        sampleRate: 8000,
        channels: 1,
      });
  });

  test('a container in it is believed more than the declaration', () => {
    expect(probeAudio(audioFixture('alaw.wav'), 4096, 'audio/x-alaw').facts).toMatchObject({
      mediaType: 'audio/wav',
      flags: ['type_mismatch'],
    });
    expect(probeAudio(audioFixture('ulaw.au'), 4096, 'audio/basic').facts.flags).toEqual([]);
  });

  test('what is declared as GSM and is not is unknown; an MP3 under that name is found', () => {
    expect(probeAudio(Buffer.alloc(330, 7), 4096, 'audio/gsm').facts).toMatchObject({
      container: null,
      flags: ['unknown_format'],
    });
    expect(probeAudio(mp3Frames(5), 4096, 'audio/gsm').facts).toMatchObject({
      container: 'mp3',
      flags: ['type_mismatch'],
    });
  });

  test('without a declaration it is kept unread', () => {
    expect(probeAudio(audioFixture('tone.sln')).facts.flags).toEqual(['unknown_format']);
  });

  test.each([
    ['MZ', Buffer.from('MZ\x90\0'.padEnd(900, '\x11'), 'latin1')],
    ['#!', Buffer.from('#!\x80\x90'.padEnd(900, '\x11'), 'latin1')],
    ['gzip’s two bytes', Buffer.from('\x1f\x8b\x77\x01'.padEnd(900, '\x11'), 'latin1')],
    ['BZh', Buffer.from('BZh0'.padEnd(900, '\x11'), 'latin1')],
  ])('samples that happen to begin like a program (%s) are sound', (_, bytes) => {
    expect(probeAudio(bytes, 4096, 'audio/x-slin')).toMatchObject({
      refusal: null,
      facts: { container: 'raw' },
    });
  });
});

describe('policy', () => {
  test('an executable is no MP3, and is refused before it has all arrived', () => {
    const probe = createAudioProbe({ declaredMediaType: 'audio/mpeg' });
    const binary = readFileSync(execPath).subarray(0, 300_000);
    probe.push(binary.subarray(0, 511));
    expect(probe.refusal()).toBeNull();
    probe.push(binary.subarray(511, 512));
    expect(probe.refusal()).toBe('elf');
    probe.push(binary.subarray(512));
    expect(probe.finish()).toMatchObject({
      refusal: 'elf',
      peaks: null,
      facts: { mediaType: 'application/octet-stream', codec: null },
    });
  });

  test('a short one is refused at its end', () => {
    expect(probeAudio(Buffer.from('#!/bin/sh\n')).refusal).toBe('script');
  });

  test('the inside of an executable, without its magic, is no MP3 either', () => {
    const binary = readFileSync(execPath).subarray(1_000_000, 41_000_000);
    expect(probeAudio(binary, 65_536).facts).toMatchObject({ container: null, flags: ['unknown_format'] });
  });
});

describe('what is not known is kept', () => {
  test.each([
    ['a document', Buffer.from('%PDF-1.7\n'.padEnd(5000, 'x'))],
    ['zeros', Buffer.alloc(5000)],
    ['ones', Buffer.alloc(50_000, 255)],
    ['one byte', Buffer.from([255])],
  ])('%s', (_, bytes) => {
    expect(probeAudio(bytes)).toMatchObject({
      refusal: null,
      facts: { mediaType: 'application/octet-stream', flags: ['unknown_format'] },
    });
  });

  test('nothing at all', () => {
    expect(probeAudio(Buffer.alloc(0))).toEqual({
      facts: {
        mediaType: 'application/octet-stream',
        container: null,
        codec: null,
        sampleRate: null,
        channels: null,
        declaredDurationMs: null,
        durationMs: null,
        flags: ['empty'],
      },
      peaks: null,
      place: null,
      refusal: null,
    });
  });

  test('wide-band AMR', () => {
    expect(probeAudio(Buffer.from('#!AMR-WB\n\0\0')).facts).toMatchObject({
      mediaType: 'audio/amr-wb',
      codec: 'amr_wb',
    });
  });
});

describe('what the sender calls it', () => {
  const flagsAs = (type: string, bytes: Buffer = audioFixture('alaw.wav')) =>
    probeAudio(bytes, 4096, type).facts.flags;

  test.each([
    'audio/wav',
    'audio/x-wav',
    'Audio/Vnd.Wave; codecs=6',
    'audio/wave',
    'application/octet-stream',
    '',
    'nonsense',
    `audio/mpeg${'x'.repeat(100_000)}`,
  ])('%.40s is not contradicted', (type) => {
    expect(flagsAs(type)).toEqual([]);
  });

  test.each(['audio/mpeg', 'audio/x-mp3', 'AUDIO/OGG', 'audio/x-m4a;foo=bar'])('%s is', (type) => {
    expect(flagsAs(type)).toEqual(['type_mismatch']);
    expect(probeAudio(audioFixture('alaw.wav'), 4096, type).facts.mediaType).toBe('audio/wav');
  });

  test('an unknown format contradicts nobody', () => {
    expect(flagsAs('audio/mpeg', Buffer.alloc(100))).toEqual(['unknown_format']);
  });
});
