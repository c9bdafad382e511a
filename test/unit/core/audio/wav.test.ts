import { describe, expect, test } from 'vitest';
import { playableOf } from '../../../../src/core/audio/playable.ts';
import { placeToKeep } from '../../../../src/core/audio/sound-place.ts';
import {
  MP3_FRAME_MS,
  mp3Frames,
  pcm16,
  riffChunk,
  uint32LE,
  wavFile,
} from '../../../support/audio-files.ts';
import { probeAudio } from '../../../support/probe-audio.ts';

const second = pcm16(Array.from({ length: 8000 }, (_, i) => Math.round(8000 * Math.sin(i / 3))));
const facts = (bytes: Buffer) => probeAudio(bytes).facts;
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

/** What is played of a file, found at its place in the original. */
const played = (file: Buffer, pieces = 64): Buffer => {
  const { place } = probeAudio(file, pieces);
  return place === null ? Buffer.alloc(0) : file.subarray(place.start, place.start + place.bytes);
};
const isDerived = (file: Buffer): boolean => {
  const { facts: about, place } = probeAudio(file);
  return placeToKeep(about, place) !== null;
};

describe('sound that a chunk hides', () => {
  const list = riffChunk('LIST', Buffer.from('INFOISFT\x0e\0\0\0Lavf58.29.100\0ICMTmetadata\0\0\0\0'));
  const resized = (chunk: Buffer, size: number): Buffer => {
    const copy = Buffer.from(chunk);
    copy.writeUInt32LE(size, 4);
    return copy;
  };
  const trailing = riffChunk('id3 ', Buffer.alloc(40, 3));
  const small = Buffer.concat(Array.from({ length: 5000 }, () => riffChunk('junk', Buffer.alloc(0))));

  test.each<[string, Buffer]>([
    [
      'of odd length without its pad byte',
      Buffer.concat([riffChunk('LIST', Buffer.alloc(33, 65)).subarray(0, -1)]),
    ],
    ['that states one byte too much', resized(list, list.length - 7)],
    ['that states 100 bytes too much', resized(list, list.length + 92)],
    ['that reaches to the end', resized(list, list.length - 8 + second.length)],
    ['that reaches beyond it', resized(list, 0x7fff_0000)],
    ['that reaches beyond everything', resized(list, 0xffff_ffff)],
    ['that states too little', resized(list, 10)],
    ['that states nothing', resized(list, 0)],
    ['five thousand of them', small],
  ])('%s: it is found, flagged and derived', (_what, before) => {
    const file = wavFile({ data: second, before });
    expect(facts(file)).toMatchObject({ codec: 'pcm_s16', durationMs: 1000, flags: ['header_invalid'] });
    for (const pieces of [1, 7, 4096, 65_536]) expect(played(file, pieces).equals(second)).toBe(true);
    expect(isDerived(file)).toBe(true);
  });

  test('the format is hidden as well', () => {
    const whole = wavFile({ data: second });
    const file = Buffer.concat([whole.subarray(0, 12), resized(list, 0x7fff_ff00), whole.subarray(12)]);
    file.writeUInt32LE(file.length - 8, 4);
    expect(facts(file)).toMatchObject({ codec: 'pcm_s16', durationMs: 1000, flags: ['header_invalid'] });
    expect(played(file).equals(second)).toBe(true);
  });

  test('more behind the sound does not keep it from being found', () => {
    const file = wavFile({ data: second, before: resized(list, 0x7fff_0000), after: trailing });
    expect(facts(file)).toMatchObject({ durationMs: 1000, flags: ['header_invalid'] });
    expect(played(file).equals(second)).toBe(true);
  });

  test('what cannot be found is not said to be no sound, and nobody is told that it plays', () => {
    const file = wavFile({ data: second, before: resized(list, list.length + 92), after: trailing });
    const { facts: about, place } = probeAudio(file);
    expect(about).toMatchObject({ codec: null, durationMs: null, flags: ['header_invalid'] });
    expect(playableOf(about, placeToKeep(about, place) !== null)).toBe('none');
  });

  test('the same words in a chunk that tells the truth are a text', () => {
    const file = wavFile({ data: second, before: list });
    expect(facts(file)).toMatchObject({ durationMs: 1000, flags: [] });
    expect(isDerived(file)).toBe(false);
    const cut = wavFile({ data: second, before: riffChunk('LIST', Buffer.alloc(9000, 'data\0')) });
    expect(facts(cut)).toMatchObject({ durationMs: 1000, flags: [] });
    expect(facts(cut.subarray(0, 8000)).flags).toEqual(['empty']);
  });
});

describe('sound behind its stated end', () => {
  const call = pcm16(
    Array.from({ length: 96_000 }, (_, i) => Math.round(6000 * Math.sin(i / 5) * Math.sin(i / 4000))),
  );
  const stale = (options: Partial<Parameters<typeof wavFile>[0]> = {}) => {
    const after = call.subarray(32_000);
    return wavFile({ data: call.subarray(0, 32_000), after, riffSize: 36 + 32_000, ...options });
  };

  test.each<[string, Buffer]>([
    ['both lengths of some seconds ago', stale()],
    ['the length of the file right', stale({ riffSize: 36 + call.length })],
    ['the length of the file unknown', stale({ riffSize: 0 })],
    ['a length that cuts a sample in two', wavFile({ data: call, dataSize: 32_001, riffSize: 36 + 32_000 })],
    [
      'zeros behind, of a file that was made larger beforehand',
      stale({ after: Buffer.concat([call.subarray(32_000), Buffer.alloc(300_000)]) }),
    ],
  ])('%s: all of it counts, is flagged, seen and derived', (_what, file) => {
    expect(facts(file)).toMatchObject({ durationMs: 12_000, flags: ['length_unknown'] });
    expect(facts(file).declaredDurationMs).toBe(2000);
    for (const pieces of [1, 997, 65_536]) expect(played(file, pieces).equals(call)).toBe(true);
    expect(isDerived(file)).toBe(true);
    expect(probeAudio(file).peaks).toEqual(probeAudio(wavFile({ data: call })).peaks);
  });

  test.each([
    ['alaw', 6, 0xd5],
    ['ulaw', 7, 0xff],
  ] as const)('%s', (_codec, tag, quiet) => {
    const data = Buffer.from(
      Array.from({ length: 48_000 }, (_, i) => (i % 8 < 4 ? 0x80 : 0) | (quiet ^ ((0x20 + (i % 4)) & 0x7f))),
    );
    const file = wavFile({
      tag,
      bits: 8,
      data: data.subarray(0, 8000),
      after: data.subarray(8000),
      riffSize: 8036,
    });
    expect(facts(file)).toMatchObject({ durationMs: 6000, flags: ['length_unknown'] });
    expect(played(file).equals(data)).toBe(true);
  });

  test.each<[string, Buffer, number]>([
    ['more data', riffChunk('data', call.subarray(32_000)), 1],
    [
      'more data, and a chunk',
      Buffer.concat([riffChunk('data', call.subarray(32_000)), riffChunk('LIST', Buffer.alloc(4000, 9))]),
      1,
    ],
    ['another file', wavFile({ data: call.subarray(32_000) }), 6],
  ])('%s: played with its header as a click, and flagged', (_what, after, clickMs) => {
    const file = Buffer.concat([wavFile({ data: call.subarray(0, 32_000) }), after]);
    expect(facts(file).declaredDurationMs).toBe(2000);
    expect(facts(file).flags).toContain('length_unknown');
    const sound = played(file);
    expect(sound.subarray(0, 32_000).equals(call.subarray(0, 32_000))).toBe(true);
    expect(sound.subarray(32_000 - call.length).equals(call.subarray(32_000))).toBe(true);
    expect(sound.length - call.length).toBeLessThanOrEqual(clickMs * 16);
    expect(isDerived(file)).toBe(true);
  });
});

describe('no sound behind the stated end', () => {
  const noise = Buffer.alloc(200_000);
  for (let i = 0, state = 1; i < noise.length; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    noise[i] = state >>> 24;
  }
  const text = Buffer.from('<p>Service unavailable, try again later.</p>\n'.repeat(500));
  test.each<[string, Buffer]>([
    ['bytes at random', noise],
    ['a text', text],
    ['a text that begins like a chunk', Buffer.concat([Buffer.from('HTTP/1.1 503'), text])],
    ['another file, of another kind', wavFile({ data: second, rate: 16_000 })],
    [
      'another file, whose samples are out of step',
      wavFile({ data: second, before: riffChunk('fact', Buffer.alloc(3)).subarray(0, -1) }),
    ],
  ])('%s: not taken for the same sound, and flagged', (_what, after) => {
    const file = Buffer.concat([wavFile({ data: second }), after]);
    expect(facts(file)).toMatchObject({ durationMs: 1000, flags: ['header_invalid'] });
    expect(played(file).equals(second)).toBe(true);
  });

  test.each<[string, Buffer]>([
    ['zeros to the end of a sector', Buffer.alloc(4096)],
    ['many zeros', Buffer.alloc(500_000)],
    ['a tag', Buffer.concat([Buffer.from('TAG'), Buffer.alloc(125, 'x')])],
    ['a byte', Buffer.alloc(1, 7)],
    ['a chunk that the file does not count', riffChunk('id3 ', Buffer.alloc(3000, 7))],
  ])('%s: no part of a call', (_what, after) => {
    const file = Buffer.concat([wavFile({ data: second }), after]);
    expect(facts(file)).toMatchObject({ durationMs: 1000, flags: [] });
    expect(isDerived(file)).toBe(false);
  });

  test('sound that needs a decoder is not judged, and flagged', () => {
    const gsm = wavFile({ tag: 0x31, bits: 0, blockAlign: 65, data: Buffer.alloc(6500, 9), dataSize: 650 });
    expect(facts(gsm).flags).toEqual(['header_invalid']);
  });
});

test('a length of 0 behind a right one of the file: the writer was killed between the two', () => {
  for (const after of [Buffer.alloc(0), riffChunk('LIST', Buffer.alloc(40))]) {
    const file = Buffer.concat([wavFile({ data: second, dataSize: 0 }), after]);
    file.writeUInt32LE(file.length - 8, 4);
    const sound = file.subarray(44);
    expect(facts(file)).toMatchObject({ declaredDurationMs: null, flags: ['length_unknown'] });
    expect(played(file).equals(sound.subarray(0, sound.length - (sound.length % 2)))).toBe(true);
    expect(isDerived(file)).toBe(true);
  }
});

test('data before its format is played, and flagged', () => {
  const whole = wavFile({ data: second });
  const file = Buffer.concat([whole.subarray(0, 12), whole.subarray(36), whole.subarray(12, 36)]);
  expect(facts(file)).toMatchObject({ codec: 'pcm_s16', durationMs: 1000, flags: ['header_invalid'] });
  expect(played(file).equals(second)).toBe(true);
  expect(isDerived(file)).toBe(true);
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

describe('chunks', () => {
  test('chunks of no interest, of odd length, before and after the data are passed over', () => {
    const odd = riffChunk('junk', Buffer.alloc(333));
    expect(facts(wavFile({ data: second, before: odd, after: odd }))).toMatchObject({
      durationMs: 1000,
      flags: [],
    });
  });

  test('a million chunks of nothing are not read to their end, and take nothing from what was found before', () => {
    const after = Buffer.alloc(8_000_000);
    for (let at = 0; at < after.length; at += 8) after.write('junk', at, 'latin1');
    expect(facts(wavFile({ data: second, after }))).toMatchObject({ durationMs: 1000, flags: [] });
    expect(facts(wavFile({ before: after, data: second }))).toMatchObject({
      durationMs: 1000,
      flags: ['header_invalid'],
    });
  });

  test('only the first data and the first fmt count, and more than one is said', () => {
    const after = Buffer.concat([riffChunk('fmt ', Buffer.alloc(16)), riffChunk('data', second)]);
    expect(facts(wavFile({ data: second, after }))).toMatchObject({
      sampleRate: 8000,
      durationMs: 1000,
      flags: ['header_invalid'],
    });
  });

  test('a chunk that claims more than there is hides nothing', () => {
    expect(
      facts(wavFile({ data: second, before: riffChunk('junk', Buffer.alloc(4), 0xffff_fff0) })),
    ).toMatchObject({ codec: 'pcm_s16', durationMs: 1000, flags: ['header_invalid'] });
  });

  test('a file that ends before its format, or before its data', () => {
    const whole = wavFile({ data: second });
    expect(facts(whole.subarray(0, 12))).toMatchObject({
      container: 'wav',
      codec: null,
      flags: ['header_invalid', 'empty'],
    });
    expect(facts(whole.subarray(0, 30)).flags).toEqual(['header_invalid', 'empty']);
    expect(facts(whole.subarray(0, 40))).toMatchObject({ codec: 'pcm_s16', channels: 1, flags: ['empty'] });
  });

  test('data before any format is kept unread', () => {
    const file = Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE'), riffChunk('data', second)]);
    expect(facts(file)).toMatchObject({
      container: 'wav',
      codec: null,
      durationMs: null,
      flags: ['header_invalid'],
    });
    expect(facts(file.subarray(0, 500)).flags).toEqual(['header_invalid', 'truncated']);
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
