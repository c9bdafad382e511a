import { describe, expect, test } from 'vitest';
import { parseFlacFrame } from '../../../../src/core/audio/flac-frame.ts';
import { audioFixture, facts } from '../../../support/probe-audio.ts';

/** CRC-8 of RFC 9639 §9.1.8, bit by bit. */
const crc8 = (bytes: readonly number[]): number =>
  bytes.reduce((crc, byte) => {
    let next = crc ^ byte;
    for (let bit = 0; bit < 8; bit += 1) next = next & 0x80 ? ((next << 1) ^ 7) & 255 : next << 1;
    return next;
  }, 0);

type Frame = {
  number?: readonly number[];
  sizes?: number;
  channels?: number;
  extra?: readonly number[];
  sync?: readonly number[];
};
const frameHeader = ({
  number = [0],
  sizes = 0xc0,
  channels = 0,
  extra = [],
  sync = [0xff, 0xf8],
}: Frame = {}): Buffer => {
  const head = [...sync, sizes, channels, ...number, ...extra];
  return Buffer.from([...head, crc8(head)]);
};

/** Fixed blocks of 4096 samples at 8 kHz: 512 ms each. */
const streamInfo = ({ samples = 0, rate = 8000, length = 34, type = 0x80, block = 4096 } = {}): Buffer => {
  const body = Buffer.alloc(length);
  if (length === 34) {
    body.writeUInt16BE(block, 0);
    body.writeUInt16BE(block, 2);
    body.writeUIntBE((rate << 4) >>> 0, 10, 3);
    body.writeUInt8(0xf0 | Math.floor(samples / 2 ** 32), 13);
    body.writeUInt32BE(samples % 2 ** 32, 14);
  }
  return Buffer.concat([Buffer.from('fLaC'), Buffer.from([type, 0, 0, length]), body]);
};
const audio = Buffer.alloc(300, 0x55);
const frames = (numbers: readonly number[]): Buffer =>
  Buffer.concat(numbers.flatMap((number) => [frameHeader({ number: [number] }), audio]));

describe('streams', () => {
  test('declared by STREAMINFO, present by the frames', () => {
    expect(facts(Buffer.concat([streamInfo({ samples: 3 * 4096 }), frames([0, 1, 2])]))).toEqual({
      mediaType: 'audio/flac',
      container: 'flac',
      codec: 'flac',
      sampleRate: 8000,
      channels: 1,
      declaredDurationMs: 1536,
      durationMs: 1536,
      flags: [],
    });
  });

  test('cut', () => {
    expect(facts(Buffer.concat([streamInfo({ samples: 3 * 4096 }), frames([0])]))).toMatchObject({
      declaredDurationMs: 1536,
      durationMs: 512,
      flags: ['truncated'],
    });
    const whole = audioFixture('speech.flac');
    const half = facts(whole.subarray(0, whole.length / 2));
    expect(half).toMatchObject({ declaredDurationMs: 600, flags: expect.arrayContaining(['truncated']) });
    expect(half.durationMs).toBeLessThan(600);
  });

  test('a writer to a pipe leaves the length out', () => {
    expect(facts(Buffer.concat([streamInfo(), frames([0, 1])]))).toMatchObject({
      declaredDurationMs: null,
      durationMs: 1024,
      flags: ['length_unknown'],
    });
  });

  test('missing frames are a gap; wild, lower and repeated numbers are chance', () => {
    expect(facts(Buffer.concat([streamInfo(), frames([0, 1, 5])]))).toMatchObject({
      durationMs: 3072,
      flags: ['length_unknown', 'gaps'],
    });
    const wild = frameHeader({ number: [0xf0, 0xaf, 0xbf, 0xbf] });
    expect(facts(Buffer.concat([streamInfo(), frames([0, 1]), wild, frames([1, 0, 2])]))).toMatchObject({
      durationMs: 1536,
      flags: ['length_unknown'],
    });
  });

  test('a frame of another kind, or longer than its block, is chance', () => {
    const other = frameHeader({ number: [2], sizes: 0xc9 });
    const wide = frameHeader({ number: [2], channels: 0x02 });
    const longer = frameHeader({ number: [2], sizes: 0xd0 });
    const last = frameHeader({ number: [2], sizes: 0x60, extra: [199] });
    const file = (frame: Buffer) => facts(Buffer.concat([streamInfo(), frames([0, 1]), frame, audio]));
    for (const frame of [other, wide, longer]) expect(file(frame).durationMs).toBe(1024);
    expect(file(last).durationMs).toBe(1049);
  });

  test('variable blocks count samples', () => {
    const variable = (number: readonly number[]) =>
      Buffer.concat([frameHeader({ number, sync: [0xff, 0xf9] }), audio]);
    // Numbers 0 and 4096 (0xE1 0x80 0x80); a fixed header in between is chance.
    const file = Buffer.concat([
      streamInfo({ samples: 8192 }),
      variable([0]),
      frames([1]),
      variable([0xe1, 0x80, 0x80]),
    ]);
    expect(facts(file)).toMatchObject({ durationMs: 1024, flags: [] });
  });

  test('frames are found across windows', () => {
    const long = Array.from({ length: 100 }, (_, i) => i);
    expect(facts(Buffer.concat([streamInfo(), frames(long)]))).toMatchObject({ durationMs: 51_200 });
  });
});

describe('metadata', () => {
  test('further blocks of any length are passed over', () => {
    const more = Buffer.concat([
      Buffer.from([4, 0, 0x9c, 0x40]),
      Buffer.alloc(40_000, 0xff),
      Buffer.from([0x81, 0, 0, 2, 0, 0]),
    ]);
    expect(facts(Buffer.concat([streamInfo({ samples: 4096, type: 0 }), more, frames([0])]))).toMatchObject({
      durationMs: 512,
      flags: [],
    });
  });

  test('no STREAMINFO, a short one, or none at all', () => {
    const invalid = { container: 'flac', codec: null, durationMs: null, flags: ['header_invalid'] };
    expect(facts(Buffer.concat([streamInfo({ length: 10 }), frames([0])]))).toMatchObject(invalid);
    expect(facts(Buffer.concat([streamInfo({ type: 0x84 }), frames([0])]))).toMatchObject(invalid);
    expect(facts(Buffer.from('fLaC'))).toMatchObject(invalid);
    expect(facts(streamInfo().subarray(0, 20))).toMatchObject(invalid);
  });

  test('a header without frames, and one that ends in its metadata', () => {
    expect(facts(streamInfo({ samples: 4096 }))).toMatchObject({
      durationMs: 0,
      flags: ['empty', 'truncated'],
    });
    expect(facts(streamInfo({ type: 0 }))).toMatchObject({
      codec: 'flac',
      flags: ['empty', 'length_unknown'],
    });
  });

  test('an impossible rate', () => {
    expect(facts(Buffer.concat([streamInfo({ rate: 0, samples: 9 }), frames([0])]))).toMatchObject({
      sampleRate: null,
      declaredDurationMs: null,
      durationMs: null,
      flags: ['header_invalid'],
    });
  });
});

describe('frame headers', () => {
  const parse = (frame: Frame) => parseFlacFrame(frameHeader(frame), 0);

  test.each([
    [0x10, [], 192],
    [0x20, [], 576],
    [0x50, [], 4608],
    [0x60, [199], 200],
    [0x70, [0x0f, 0xff], 4096],
    [0x80, [], 256],
    [0xf0, [], 32_768],
    [0xcc, [8], 4096],
    [0xcd, [0x1f, 0x40], 4096],
    [0x6e, [199, 0x03, 0x20], 200],
  ])('sizes %i', (sizes, extra, samples) => {
    expect(parse({ sizes, extra })).toMatchObject({ number: 0, variable: false, samples });
  });

  test.each([
    [[0x7f], 127],
    [[0xc2, 0x80], 128],
    [[0xfe, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf], 2 ** 36 - 1],
  ])('number %o', (number, value) => {
    expect(parse({ number })?.number).toBe(value);
  });

  test('what is no header', () => {
    for (const number of [[0x80], [0xff, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf, 0xbf], [0xc2, 0x00]])
      expect(parse({ number })).toBeNull();
    expect(parse({ sizes: 0x00 })).toBeNull();
    expect(parse({ sizes: 0xcf })).toBeNull();
    expect(parse({ channels: 0xb0 })).toBeNull();
    expect(parse({ channels: 0x01 })).toBeNull();
    expect(parse({ sync: [0xff, 0xfa] })).toBeNull();
    const wrong = frameHeader();
    wrong[5]! ^= 1;
    expect(parseFlacFrame(wrong, 0)).toBeNull();
    for (let bytes = 0; bytes < 6; bytes += 1)
      expect(parseFlacFrame(frameHeader().subarray(0, bytes), 0)).toBeNull();
    expect(
      parseFlacFrame(frameHeader({ number: [0xc2, 0x80], extra: [1, 2], sizes: 0x70 }).subarray(0, 7), 0),
    ).toBeNull();
    expect(parseFlacFrame(Buffer.from([0xff, 0xf8, 0xc0, 0, 0xe1, 0x80]), 0)).toBeNull();
  });
});
