import { describe, expect, test } from 'vitest';
import {
  MP3_FRAME_MS,
  mp3Frames,
  pcm16,
  riffChunk,
  oneSecond as second,
  uint32LE,
  wavFile,
} from '../../../support/audio-files.ts';
import { facts, probeAudio } from '../../../support/probe-audio.ts';

const MS_ADPCM_EXTENSION = Buffer.from([32, 0, 0xf4, 0x01]);

describe('lengths that lie', () => {
  test('an intact file says what it holds', () => {
    expect(facts(wavFile({ data: second }))).toEqual({
      mediaType: 'audio/wav',
      container: 'wav',
      codec: 'pcm_s16',
      sampleRate: 8000,
      channels: 1,
      declaredDurationMs: 1000,
      durationMs: 1000,
      flags: [],
    });
  });

  test('cut in half: the actual length, and flagged', () => {
    const whole = wavFile({ data: second });
    expect(facts(whole.subarray(0, 44 + 8000))).toMatchObject({
      declaredDurationMs: 1000,
      durationMs: 500,
      flags: ['truncated'],
    });
    expect(facts(whole.subarray(0, -1)).flags).toEqual(['truncated']);
  });

  test.each([
    ['0 in both places, as a crashed writer leaves it', { riffSize: 0, dataSize: 0 }],
    ['0 behind a first line that ends at the data', { riffSize: 36, dataSize: 0 }],
    ['0 behind a first line without bounds', { riffSize: 0xffff_ffff, dataSize: 0 }],
    ['4 GiB − 1', { riffSize: 0xffff_ffff, dataSize: 0xffff_ffff }],
    ['about 2 GiB', { riffSize: 0x7fff_ffff, dataSize: 0x7fff_ffdb }],
  ])('%s: everything that follows is audio', (_, sizes) => {
    expect(facts(wavFile({ data: second, ...sizes }))).toMatchObject({
      declaredDurationMs: null,
      durationMs: 1000,
      flags: ['length_unknown'],
    });
  });

  test('0 is true where the file counts further chunks', () => {
    expect(facts(wavFile({ after: riffChunk('LIST', Buffer.alloc(40)) }))).toMatchObject({
      declaredDurationMs: 0,
      durationMs: 0,
      flags: ['empty'],
    });
  });

  test('0 and nothing behind it', () => {
    expect(facts(wavFile()).flags).toEqual(['empty', 'length_unknown']);
  });

  test('less than one sample is no audio', () => {
    expect(facts(wavFile({ data: Buffer.from([1]) }))).toMatchObject({ durationMs: 0, flags: ['empty'] });
  });

  test('a length just below the placeholders is a promise', () => {
    expect(facts(wavFile({ data: second, dataSize: 0x7ffe_0000 })).flags).toEqual(['truncated']);
  });
});

describe('RF64 and BW64', () => {
  const ds64 = (dataBytes: bigint): Buffer => {
    const body = Buffer.alloc(28);
    body.writeBigUInt64LE(dataBytes, 8);
    return riffChunk('ds64', body);
  };
  const long = (magic: 'RF64' | 'BW64', dataBytes: bigint) =>
    facts(
      wavFile({ magic, data: second, riffSize: 0xffff_ffff, dataSize: 0xffff_ffff, before: ds64(dataBytes) }),
    );

  test.each(['RF64', 'BW64'] as const)('%s takes the length from ds64', (magic) => {
    expect(long(magic, 16_000n)).toMatchObject({ declaredDurationMs: 1000, durationMs: 1000, flags: [] });
  });

  test('a length no stream can have is truncation, not a crash', () => {
    expect(long('RF64', 2n ** 64n - 1n)).toMatchObject({
      declaredDurationMs: null,
      durationMs: 1000,
      flags: ['truncated'],
    });
    expect(long('RF64', 0x8000_0000n)).toMatchObject({ durationMs: 1000, flags: ['truncated'] });
  });

  test('a ds64 that was never filled in, or is cut, leaves the length unknown', () => {
    expect(long('RF64', 0n).flags).toEqual(['length_unknown']);
    const cut = wavFile({
      magic: 'RF64',
      data: second,
      dataSize: 0xffff_ffff,
      before: riffChunk('ds64', Buffer.alloc(8)),
    });
    expect(facts(cut)).toMatchObject({ durationMs: 1000, flags: ['length_unknown'] });
  });
});

describe('formats', () => {
  const guidOf = (tag: number, tail = '000000001000800000aa00389b71'): Buffer =>
    Buffer.concat([Buffer.from([22, 0, 16, 0, 4, 0, 0, 0, tag & 255, tag >> 8]), Buffer.from(tail, 'hex')]);

  test('extensible is what its sub-format says', () => {
    expect(facts(wavFile({ data: second, tag: 0xfffe, extension: guidOf(1) })).codec).toBe('pcm_s16');
    expect(facts(wavFile({ data: second, tag: 0xfffe, bits: 8, extension: guidOf(6) })).codec).toBe('alaw');
  });

  test('a foreign or missing sub-format is unknown', () => {
    for (const extension of [guidOf(1, '00112233445566778899aabbccdd'), Buffer.alloc(0)]) {
      expect(facts(wavFile({ data: second, tag: 0xfffe, extension }))).toMatchObject({
        codec: null,
        durationMs: null,
        flags: ['unknown_codec'],
      });
    }
  });

  test.each([
    [1, 12, 'pcm_s16'],
    [1, 20, 'pcm_s24'],
    [1, 0, null],
    [1, 64, null],
    [3, 16, null],
    [0x0083, 8, null],
  ])('tag %i with %i bits is %s', (tag, bits, codec) => {
    expect(facts(wavFile({ data: second, tag, bits, blockAlign: 2 })).codec).toBe(codec);
  });

  test.each([
    ['no channel', { channels: 0 }],
    ['thousands of channels', { channels: 40_000 }],
    ['no rate', { rate: 0 }],
    ['a rate beyond reason', { rate: 0xffff_ffff }],
  ])('%s: kept, measured by nobody', (_, options) => {
    expect(facts(wavFile({ data: second, ...options, blockAlign: 2 }))).toMatchObject({
      container: 'wav',
      codec: null,
      sampleRate: null,
      channels: null,
      durationMs: null,
      flags: ['header_invalid'],
    });
  });

  test('a block size that contradicts the format is flagged and not believed', () => {
    expect(facts(wavFile({ data: second, blockAlign: 7 }))).toMatchObject({
      durationMs: 1000,
      flags: ['header_invalid'],
    });
  });
});

describe('block codecs', () => {
  const block = (bytes: number) => Buffer.alloc(bytes, 1);
  const gsm = (options: object) => facts(wavFile({ tag: 0x31, bits: 0, blockAlign: 65, ...options }));

  test('GSM 06.10: 320 samples in 65 bytes', () => {
    expect(gsm({ data: block(65 * 25) })).toMatchObject({
      codec: 'gsm610',
      declaredDurationMs: 1000,
      durationMs: 1000,
      flags: [],
    });
  });

  test('fact says how much of the last block is audio, and no more than that', () => {
    const before = riffChunk('fact', uint32LE(7900));
    expect(gsm({ data: block(65 * 25), before })).toMatchObject({ declaredDurationMs: 988, durationMs: 988 });
    expect(gsm({ data: block(65 * 50), before })).toMatchObject({
      declaredDurationMs: 988,
      durationMs: 2000,
    });
    expect(gsm({ data: block(65 * 25), before: riffChunk('fact', uint32LE(0)) })).toMatchObject({
      durationMs: 1000,
    });
    expect(gsm({ data: block(65 * 25), before: riffChunk('fact', Buffer.alloc(2)) })).toMatchObject({
      durationMs: 1000,
    });
  });

  test('cut: fact still says what was announced', () => {
    const before = riffChunk('fact', uint32LE(8000));
    const whole = wavFile({ tag: 0x31, bits: 0, blockAlign: 65, data: block(65 * 25), before });
    expect(facts(whole.subarray(0, whole.length - 65 * 10))).toMatchObject({
      declaredDurationMs: 1000,
      durationMs: 600,
      flags: ['truncated'],
    });
  });

  test('fact is not believed for plain samples', () => {
    expect(facts(wavFile({ data: second, before: riffChunk('fact', uint32LE(99)) }))).toMatchObject({
      declaredDurationMs: 1000,
    });
  });

  test('ADPCM without its extension, or with a block of nothing', () => {
    const adpcm = (options: object) => facts(wavFile({ tag: 2, bits: 4, data: block(512), ...options }));
    expect(adpcm({ blockAlign: 256, extension: MS_ADPCM_EXTENSION })).toMatchObject({
      codec: 'adpcm_ms',
      durationMs: 125,
      flags: [],
    });
    expect(adpcm({ blockAlign: 256 })).toMatchObject({ durationMs: null, flags: [] });
    expect(adpcm({ blockAlign: 256, extension: Buffer.alloc(4) })).toMatchObject({ durationMs: null });
    expect(adpcm({ blockAlign: 0, extension: MS_ADPCM_EXTENSION })).toMatchObject({
      durationMs: null,
      flags: ['header_invalid'],
    });
  });
});

describe('MP3 inside', () => {
  const inside = (data: Buffer, dataSize?: number) =>
    facts(
      wavFile({ tag: 0x55, bits: 0, blockAlign: 1, data, ...(dataSize === undefined ? {} : { dataSize }) }),
    );

  test('is measured by its frames', () => {
    expect(inside(mp3Frames(10))).toMatchObject({
      mediaType: 'audio/wav',
      codec: 'mp3',
      durationMs: 10 * MP3_FRAME_MS,
      flags: [],
    });
  });

  test('cut is cut once', () => {
    expect(inside(mp3Frames(10).subarray(0, -20), 1440).flags).toEqual(['truncated']);
  });

  test('something else under that name', () => {
    expect(inside(Buffer.alloc(4000, 7))).toMatchObject({
      codec: 'mp3',
      durationMs: null,
      flags: ['unknown_codec'],
    });
  });
});

describe('silence', () => {
  const flags = (left: number, right: number) =>
    facts(
      wavFile({
        channels: 2,
        data: pcm16(Array.from({ length: 8000 }, (_, i) => (i % 2 === 0 ? left : right))),
      }),
    ).flags;

  test('on all channels, on one, on none', () => {
    expect(flags(0, 0)).toEqual(['silent']);
    expect(flags(0, 9000)).toEqual(['one_sided']);
    expect(flags(-9000, 20)).toEqual(['one_sided']);
    expect(flags(9000, 9000)).toEqual([]);
  });

  test('mono can be silent but not one-sided', () => {
    expect(facts(wavFile({ data: Buffer.alloc(800) })).flags).toEqual(['silent']);
    expect(facts(wavFile({ tag: 6, bits: 8, data: Buffer.alloc(800, 0xd5) })).flags).toEqual(['silent']);
    expect(facts(wavFile({ tag: 7, bits: 8, data: Buffer.alloc(800, 0xff) })).flags).toEqual(['silent']);
  });
});

test('peaks are those of the audio, whatever chunks lie around it', () => {
  const bare = probeAudio(wavFile({ data: second })).peaks;
  const dressed = probeAudio(
    wavFile({
      data: second,
      before: riffChunk('LIST', Buffer.alloc(99, 255)),
      after: riffChunk('id3 ', Buffer.alloc(99, 255)),
    }),
  ).peaks;
  expect(bare).not.toBeNull();
  expect(dressed).toEqual(bare);
});
