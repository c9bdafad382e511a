import { readFileSync } from 'node:fs';
import { execPath } from 'node:process';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AudioFacts } from '../../../../src/core/audio/facts.ts';
import { decodePeaks } from '../../../../src/core/audio/peaks.ts';
import { createAudioProbe } from '../../../../src/core/audio/probe.ts';
import { mp3Frames, OGG_FIRST, oggPage, opusHead, pcm16, wavFile } from '../../../support/audio-files.ts';
import { audioFixture, probeAudio } from '../../../support/probe-audio.ts';

type Expected = readonly [
  file: string,
  mediaType: string,
  codec: AudioFacts['codec'],
  rate: number | null,
  channels: number | null,
  declared: number | null,
  actual: number | null,
];

/** As soxi and ffprobe describe the same files; MP3 without an encoder's note includes its encoder's padding. */
const fixtures: readonly Expected[] = [
  ['pcm_u8.wav', 'audio/wav', 'pcm_u8', 8000, 1, 600, 600],
  ['pcm_s16.wav', 'audio/wav', 'pcm_s16', 8000, 1, 600, 600],
  ['pcm_s24-extensible.wav', 'audio/wav', 'pcm_s24', 8000, 1, 600, 600],
  ['pcm_s32-extensible.wav', 'audio/wav', 'pcm_s32', 8000, 1, 600, 600],
  ['pcm_f32.wav', 'audio/wav', 'pcm_f32', 8000, 1, 600, 600],
  ['pcm_f64.wav', 'audio/wav', 'pcm_f64', 8000, 1, 600, 600],
  ['stereo.wav', 'audio/wav', 'pcm_s16', 8000, 2, 600, 600],
  ['alaw.wav', 'audio/wav', 'alaw', 8000, 1, 600, 600],
  ['ulaw.wav', 'audio/wav', 'ulaw', 8000, 1, 600, 600],
  ['gsm610.wav', 'audio/wav', 'gsm610', 8000, 1, 600, 600],
  ['adpcm_ms.wav', 'audio/wav', 'adpcm_ms', 8000, 1, 600, 600],
  ['adpcm_ima.wav', 'audio/wav', 'adpcm_ima', 8000, 1, 600, 600],
  ['mp3.wav', 'audio/wav', 'mp3', 8000, 1, null, 792],
  ['pipe.wav', 'audio/wav', 'pcm_s16', 8000, 1, null, 600],
  ['rf64.wav', 'audio/wav', 'pcm_s16', 8000, 1, 600, 600],
  ['untagged-cbr.mp3', 'audio/mpeg', 'mp3', 8000, 1, null, 792],
  ['tagged-vbr.mp3', 'audio/mpeg', 'mp3', 8000, 1, 600, 600],
  ['id3-16k.mp3', 'audio/mpeg', 'mp3', 16_000, 1, 600, 600],
  ['lavf.mp3', 'audio/mpeg', 'mp3', 44_100, 2, 600, 600],
  ['vorbis.ogg', 'audio/ogg', 'vorbis', 8000, 1, null, 600],
  ['opus.ogg', 'audio/ogg', 'opus', 48_000, 1, null, 600],
  ['speech.flac', 'audio/flac', 'flac', 8000, 1, 600, 600],
  ['aac.m4a', 'audio/mp4', 'aac', 8000, 1, 600, 600],
  ['aac-moov-first.m4a', 'audio/mp4', 'aac', 8000, 1, 600, 600],
  ['aac-fragmented.m4a', 'audio/mp4', 'aac', 8000, 1, null, 728],
  ['aac.aac', 'audio/aac', 'aac', 8000, 1, null, 768],
  ['opus.webm', 'audio/webm', 'opus', 48_000, 1, 608, 606],
  ['opus-live.webm', 'audio/webm', 'opus', 48_000, 1, null, 606],
  ['opus.mka', 'audio/matroska', 'opus', 48_000, 1, 608, 606],
  ['amr_nb.amr-nb', 'audio/amr', 'amr_nb', 8000, 1, null, 600],
  ['pcm_s16.au', 'audio/x-au', 'pcm_s16be', 8000, 1, 600, 600],
  ['ulaw.au', 'audio/x-au', 'ulaw', 8000, 1, 600, 600],
];

/** Sound without a container is what its sender declares. */
const declaredFixtures: readonly (readonly [declared: string, ...Expected])[] = [
  ['audio/x-slin', 'tone.sln', 'audio/x-slin;rate=8000', 'pcm_s16', 8000, 1, null, 600],
  ['audio/x-slin;rate=16000', 'tone.sln', 'audio/x-slin;rate=16000', 'pcm_s16', 16_000, 1, null, 300],
  [
    'Audio/SLIN; channels="2"; rate=8000',
    'tone.sln',
    'audio/x-slin;rate=8000;channels=2',
    'pcm_s16',
    8000,
    2,
    null,
    300,
  ],
  ['audio/L16;rate=8000', 'tone.l16', 'audio/L16;rate=8000', 'pcm_s16be', 8000, 1, null, 600],
  ['audio/basic', 'tone.ulaw', 'audio/basic', 'ulaw', 8000, 1, null, 600],
  ['audio/PCMU', 'tone.ulaw', 'audio/basic', 'ulaw', 8000, 1, null, 600],
  ['audio/x-mulaw;rate=16000', 'tone.ulaw', 'audio/basic;rate=16000', 'ulaw', 16_000, 1, null, 300],
  ['audio/x-alaw', 'tone.alaw', 'audio/x-alaw', 'alaw', 8000, 1, null, 600],
  ['audio/pcma', 'tone.alaw', 'audio/x-alaw', 'alaw', 8000, 1, null, 600],
  ['audio/gsm', 'tone.gsm', 'audio/gsm', 'gsm610', 8000, 1, null, 600],
  ['audio/x-gsm;rate=99', 'tone.gsm', 'audio/gsm', 'gsm610', 8000, 1, null, 600],
  ['audio/G722;rate=8000', 'tone.g722', 'audio/g722', 'g722', 16_000, 1, null, 600],
];

/** Written to a pipe, or as it was recorded. */
const withoutLength = new Set(['pipe.wav', 'opus-live.webm', 'aac-fragmented.m4a']);

describe('files made by sox, lame, opusenc and ffmpeg', () => {
  test.each(fixtures)(
    '%s',
    (file, mediaType, codec, sampleRate, channels, declaredDurationMs, durationMs) => {
      const { facts, peaks, refusal } = probeAudio(audioFixture(file));
      expect(facts).toMatchObject({ mediaType, codec, sampleRate, channels, declaredDurationMs, durationMs });
      expect(facts.flags).toEqual(withoutLength.has(file) ? ['length_unknown'] : []);
      expect(refusal).toBeNull();
      // −6 dB, whatever the encoding.
      if (peaks !== null) expect(Math.max(...decodePeaks(peaks)!.levels[0]!)).toBeGreaterThan(125);
    },
  );

  test.each(fixtures)('%s, in pieces of one byte and of odd lengths, is the same', (file) => {
    const bytes = audioFixture(file);
    const whole = probeAudio(bytes);
    for (const pieceBytes of [1, 13, 997]) expect(probeAudio(bytes, pieceBytes)).toEqual(whole);
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
      expect(whole.peaks === null).toBe(codec === 'gsm610' || codec === 'g722');
      if (whole.peaks !== null)
        expect(Math.max(...decodePeaks(whole.peaks)!.levels[0]!)).toBeGreaterThan(125);
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

/** Small, fast, seeded: the same 200,000 every time. */
const createRandom = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

const isSane = ({ facts }: ReturnType<typeof probeAudio>): boolean =>
  [facts.sampleRate, facts.channels, facts.declaredDurationMs, facts.durationMs].every(
    (value) => value === null || (Number.isInteger(value) && value >= 0 && value < 2 ** 31),
  );

describe('hostile bytes', () => {
  const seeds: readonly Buffer[] = [
    ...fixtures.map(([file]) => audioFixture(file).subarray(0, 700)),
    wavFile({ data: pcm16([1, 2, 3, 4]), channels: 2 }),
    wavFile({ tag: 0xfffe, data: Buffer.alloc(64), extension: Buffer.alloc(24) }),
    mp3Frames(4),
    audioFixture('opus-live.webm').subarray(0, 400),
    Buffer.concat([Buffer.from('ID3\x04\0\0\0\0\0\x05'), Buffer.alloc(5), mp3Frames(3)]),
    Buffer.concat([
      oggPage({ body: opusHead(), flags: OGG_FIRST }),
      oggPage({ body: Buffer.alloc(300), granule: 9999n }),
    ]),
  ];

  const declared = ['', 'audio/x-slin;channels=2', 'audio/gsm', 'audio/g722', 'audio/basic'];

  test('200,000 damaged headers: no throw, and only numbers a database can keep', () => {
    const random = createRandom(20_261_121);
    const extremes = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
    for (let run = 0; run < 200_000; run += 1) {
      const bytes = Buffer.from(seeds[random(seeds.length)]!.subarray(0, 1 + random(400)));
      for (let hits = 1 + random(8); hits > 0; hits -= 1) {
        bytes[random(Math.min(bytes.length, 120))] =
          random(2) === 0 ? random(256) : extremes[random(extremes.length)]!;
      }
      if (!isSane(probeAudio(bytes, bytes.length, declared[random(declared.length)]!)))
        throw new Error(`run ${run}: ${bytes.toString('hex')}`);
    }
  });

  test('any bytes, cut anywhere, are read alike', () => {
    const magic = fc
      .constantFrom(
        'RIFF\0\0\0\0WAVE',
        'OggS',
        'fLaC',
        'ID3',
        '\xff\xe3\x28\xc0',
        '#!AMR\n',
        '.snd',
        '\0\0\0\x10ftypM4A \0\0\0\0',
        '\x1a\x45\xdf\xa3\x80',
        '',
      )
      .map((text) => Buffer.from(text, 'latin1'));
    fc.assert(
      fc.property(
        magic,
        fc.uint8Array({ maxLength: 3000 }),
        fc.integer({ min: 1, max: 700 }),
        (head, body, pieceBytes) => {
          const bytes = Buffer.concat([head, body]);
          const report = probeAudio(bytes, pieceBytes);
          expect(report).toEqual(probeAudio(bytes));
          expect(isSane(report)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** Bytes in buffers that somebody still holds. Buffers are given back a turn after they are collected. */
const heldBytes = async (): Promise<number> => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let turn = 0; turn < 3; turn += 1) {
    collect();
    await setImmediate();
  }
  return process.memoryUsage().arrayBuffers;
};

describe('bits flipped anywhere', () => {
  const flipped = (bytes: Buffer, random: (below: number) => number): Buffer => {
    const copy = Buffer.from(bytes);
    for (let hits = 1 + random(6); hits > 0; hits -= 1) {
      const at = random(copy.length);
      copy[at] = copy[at]! ^ (1 << random(8));
    }
    return copy;
  };

  test.each([
    ...fixtures.map(([file]) => [file, ''] as const),
    ...declaredFixtures.map(([type, file]) => [file, type] as const),
  ])('%s (%s): no throw, no length that cannot be, nothing beyond its end', (file, type) => {
    const bytes = audioFixture(file);
    const random = createRandom(bytes.length);
    for (let run = 0; run < 300; run += 1) {
      const damaged = flipped(bytes, random);
      const report = probeAudio(damaged, 4096, type);
      const beyond = report.place !== null && report.place.start + report.place.bytes > damaged.length;
      if (!isSane(report) || beyond) throw new Error(`run ${run} of ${file}`);
    }
  });
});

describe('a file cut at every byte', () => {
  test.each(fixtures)('%s', (file) => {
    const bytes = audioFixture(file);
    const whole = probeAudio(bytes).facts;
    const step = bytes.length > 6000 ? 7 : 1;
    for (let length = 1; length < bytes.length; length += step) {
      const { durationMs } = probeAudio(bytes.subarray(0, length)).facts;
      // A length that is told is never more than what the whole has; MP3 trims the encoder's padding at a true end only.
      if (durationMs !== null && whole.codec !== 'mp3')
        expect(durationMs).toBeLessThanOrEqual(whole.durationMs! + 20);
    }
  });
});

test('memory does not grow with the call', async () => {
  const piece = Buffer.alloc(65_536, 3);
  const probes = [
    wavFile({ dataSize: 0xffff_ffff }),
    mp3Frames(5),
    Buffer.concat([oggPage({ body: opusHead(), flags: OGG_FIRST })]),
    audioFixture('speech.flac').subarray(0, 200),
    Buffer.concat([audioFixture('aac-moov-first.m4a').subarray(0, 1100), Buffer.from('\0\0\0\0mdat')]),
    audioFixture('opus-live.webm').subarray(0, 500),
    Buffer.from('#!AMR\n'),
    audioFixture('ulaw.au').subarray(0, 100),
  ].map((head) => {
    const probe = createAudioProbe();
    probe.push(head);
    return probe;
  });
  const before = await heldBytes();
  // 64 MiB through each; what is held at any time is less than one piece.
  for (let i = 0; i < 1024; i += 1) for (const probe of probes) probe.push(piece);
  expect((await heldBytes()) - before).toBeLessThan(2 ** 20);
  expect(probes[0]!.finish().facts.durationMs).toBe((1024 * 65_536) / 16);
});
