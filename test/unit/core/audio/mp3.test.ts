import { describe, expect, test } from 'vitest';
import { MP3_FRAME_BYTES, MP3_FRAME_MS, mp3Frames } from '../../../support/audio-files.ts';
import { audioFixture, facts } from '../../../support/probe-audio.ts';

const nothing = { container: null, codec: null, durationMs: null, flags: ['unknown_format'] };

const id3 = (bodyBytes: number, flags = 0): Buffer => {
  const size = [21, 14, 7, 0].map((shift) => (bodyBytes >> shift) & 127);
  return Buffer.concat([
    Buffer.from('ID3\x04\0'),
    Buffer.from([flags, ...size]),
    Buffer.alloc(bodyBytes + (flags & 0x10 ? 10 : 0), 0xff),
  ]);
};

test('frames are counted', () => {
  expect(facts(mp3Frames(10))).toEqual({
    mediaType: 'audio/mpeg',
    container: 'mp3',
    codec: 'mp3',
    sampleRate: 8000,
    channels: 1,
    declaredDurationMs: null,
    durationMs: 10 * MP3_FRAME_MS,
    flags: [],
  });
});

describe('proof', () => {
  test('two frames that end the stream suffice, one does not', () => {
    expect(facts(mp3Frames(2))).toMatchObject({ codec: 'mp3', durationMs: 2 * MP3_FRAME_MS });
    expect(facts(mp3Frames(1))).toMatchObject(nothing);
  });

  test('frames that disagree are none', () => {
    const stereo = Buffer.from(mp3Frames(1));
    stereo[3] = 0x00;
    const other = Buffer.from(mp3Frames(1));
    other[2] = 0x24; // another sample rate
    expect(facts(Buffer.concat([mp3Frames(1), stereo, mp3Frames(1), other, stereo]))).toMatchObject(nothing);
  });

  test.each([
    ['version reserved', 0xffeb_28c0],
    ['layer I', 0xffe7_28c0],
    ['layer II', 0xffe5_28c0],
    ['free bitrate', 0xffe3_08c0],
    ['bitrate 15', 0xffe3_f8c0],
    ['rate reserved', 0xffe3_2cc0],
    ['emphasis reserved', 0xffe3_28c2],
    ['no sync', 0xffc3_28c0],
  ])('a header with %s is none', (_, word) => {
    const frames = mp3Frames(5);
    for (let at = 0; at < frames.length; at += MP3_FRAME_BYTES) frames.writeUInt32BE(word, at);
    expect(facts(frames)).toMatchObject(nothing);
  });

  test('the first frame is sought 64 KiB deep and no deeper', () => {
    const behind = (junk: number) => facts(Buffer.concat([Buffer.alloc(junk, 1), mp3Frames(10)]));
    expect(behind(3000)).toMatchObject({ codec: 'mp3', durationMs: 10 * MP3_FRAME_MS, flags: ['gaps'] });
    expect(behind(60_000).codec).toBe('mp3');
    expect(behind(90_000)).toMatchObject(nothing);
  });
});

describe('tags', () => {
  test('ID3v2, several, with footers, larger than a window, are no gaps', () => {
    const file = Buffer.concat([id3(20_000), id3(5, 0x10), mp3Frames(4), id3(30), mp3Frames(4)]);
    expect(facts(file)).toMatchObject({ durationMs: 8 * MP3_FRAME_MS, flags: [] });
  });

  test('ID3v1 at the end is no gap', () => {
    expect(facts(Buffer.concat([mp3Frames(4), Buffer.from('TAG'.padEnd(128, ' '))]))).toMatchObject({
      durationMs: 4 * MP3_FRAME_MS,
      flags: [],
    });
  });

  test('a tag that claims more than there is', () => {
    expect(facts(Buffer.concat([id3(100).subarray(0, 30)]))).toMatchObject(nothing);
    expect(facts(Buffer.from('ID3'))).toMatchObject(nothing);
  });

  test('FLAC behind the tags of MP3', () => {
    expect(facts(Buffer.concat([id3(40), audioFixture('speech.flac')]))).toMatchObject({
      mediaType: 'audio/flac',
      durationMs: 600,
    });
  });
});

describe('damage', () => {
  test('a cut frame', () => {
    expect(facts(mp3Frames(10).subarray(0, -1))).toMatchObject({
      durationMs: 9 * MP3_FRAME_MS,
      flags: ['truncated'],
    });
    expect(facts(mp3Frames(10).subarray(0, 9 * MP3_FRAME_BYTES + 3))).toMatchObject({
      durationMs: 9 * MP3_FRAME_MS,
      flags: ['truncated'],
    });
  });

  test.each([1, 4, 100, 7000, 8192, 20_000])('%i bytes of junk between frames are a gap', (junk) => {
    const file = Buffer.concat([mp3Frames(5), Buffer.alloc(junk, 0xff), mp3Frames(5)]);
    expect(facts(file)).toMatchObject({ durationMs: 10 * MP3_FRAME_MS, flags: ['gaps'] });
  });

  test('junk that ends the stream is a gap too', () => {
    expect(facts(Buffer.concat([mp3Frames(5), Buffer.alloc(500)]))).toMatchObject({
      durationMs: 5 * MP3_FRAME_MS,
      flags: ['gaps'],
    });
  });

  test('after a gap one frame at the very end counts, a lone one before more junk does not', () => {
    const junk = Buffer.alloc(500);
    expect(facts(Buffer.concat([mp3Frames(5), junk, mp3Frames(1)]))).toMatchObject({
      durationMs: 6 * MP3_FRAME_MS,
    });
    expect(facts(Buffer.concat([mp3Frames(5), junk, mp3Frames(1), junk]))).toMatchObject({
      durationMs: 5 * MP3_FRAME_MS,
    });
  });
});

/** MPEG-1, 44.1 kHz, 128 kbit/s stereo: 417 bytes, room for every note. In none of them anything is heard. */
const wide = (count: number, fill: (frame: Buffer) => void = () => {}): Buffer => {
  const frame = Buffer.alloc(417);
  frame.writeUInt32BE(0xfffb_9000);
  fill(frame);
  const plain = Buffer.alloc(417);
  plain.writeUInt32BE(0xfffb_9000);
  return Buffer.concat([frame, ...Array.from({ length: count }, () => plain)]);
};
const ms = (frames: number, trimmed = 0) => Math.round(((frames * 1152 - trimmed) / 44_100) * 1000);

describe('what encoders note in the first frame', () => {
  test('LAME: exact to the sample, declared and present', () => {
    expect(facts(audioFixture('tagged-vbr.mp3'))).toMatchObject({
      declaredDurationMs: 600,
      durationMs: 600,
      flags: [],
    });
  });

  test('LAME, cut: the note still says what was recorded', () => {
    const whole = audioFixture('tagged-vbr.mp3');
    const cut = facts(whole.subarray(0, whole.length / 2));
    expect(cut).toMatchObject({ declaredDurationMs: 600, flags: ['truncated'] });
    expect(cut.durationMs).toBeGreaterThan(0);
    expect(cut.durationMs).toBeLessThan(600);
  });

  test('Xing without an encoder name, with every optional field', () => {
    const file = wide(20, (frame) => {
      frame.write('Xing', 36);
      frame.writeUInt32BE(15, 40);
      frame.writeUInt32BE(20, 44);
    });
    expect(facts(file)).toMatchObject({
      channels: 2,
      sampleRate: 44_100,
      declaredDurationMs: ms(20),
      durationMs: ms(20),
      flags: ['silent'],
    });
  });

  test('Info without a frame count declares nothing', () => {
    expect(facts(wide(20, (frame) => frame.write('Info', 36)))).toMatchObject({
      declaredDurationMs: null,
      durationMs: ms(20),
    });
  });

  test('delay and padding of a named encoder are no audio, even when they claim more than all of it', () => {
    const named = (frames: number, gaps: number) =>
      facts(
        wide(frames, (frame) => {
          frame.write('Info', 36);
          frame.writeUInt32BE(1, 40);
          frame.writeUInt32BE(frames, 44);
          frame.write('Lavf', 48);
          frame.writeUIntBE(gaps, 48 + 21, 3);
        }),
      );
    expect(named(20, (576 << 12) | 1000)).toMatchObject({
      declaredDurationMs: ms(20, 1576),
      durationMs: ms(20, 1576),
    });
    expect(named(3, 0xff_ffff)).toMatchObject({ declaredDurationMs: 0, durationMs: 0 });
  });

  test('VBRI', () => {
    const file = wide(20, (frame) => {
      frame.write('VBRI', 36);
      frame.writeUInt32BE(30, 36 + 14);
    });
    expect(facts(file)).toMatchObject({
      declaredDurationMs: ms(30),
      durationMs: ms(20),
      flags: ['truncated', 'silent'],
    });
  });
});

test.each([
  ['MPEG-1 mono', 0xfffb_90c0, 417, 21, 1152 / 44.1],
  ['MPEG-2.5 stereo', 0xffe3_2800, 144, 21, 72],
  ['MPEG-2.5 mono', 0xffe3_28c0, 144, 13, 72],
])('%s has its note where its side information ends', (_, word, bytes, at, frameMs) => {
  const plain = Buffer.alloc(bytes);
  plain.writeUInt32BE(word);
  const first = Buffer.from(plain);
  first.write('Info', at);
  first.writeUInt32BE(1, at + 4);
  first.writeUInt32BE(4, at + 8);
  const durationMs = Math.round(4 * frameMs);
  expect(facts(Buffer.concat([first, plain, plain, plain, plain]))).toMatchObject({
    declaredDurationMs: durationMs,
    durationMs,
  });
});

describe('notes that lie', () => {
  test('a note that counts itself is not truncation, and a wild count is no duration', () => {
    const counted = (frames: number) =>
      facts(
        wide(20, (frame) => {
          frame.write('Info', 36);
          frame.writeUInt32BE(1, 40);
          frame.writeUInt32BE(frames, 44);
        }),
      );
    expect(counted(21).flags).toEqual(['silent']);
    expect(counted(22).flags).toEqual(['truncated', 'silent']);
    expect(counted(0xffff_ffff)).toMatchObject({
      declaredDurationMs: null,
      flags: ['truncated', 'silent'],
    });
  });

  test('nothing but the note', () => {
    const noteTwice = wide(0, (frame) => frame.write('Info', 36));
    expect(facts(Buffer.concat([noteTwice, noteTwice.subarray(0, 200)]))).toMatchObject({
      durationMs: 0,
      flags: ['empty', 'truncated'],
    });
  });

  test('a frame too short for its note', () => {
    const short = (word: number, bytes: number, at: number, note: string) => {
      const frame = Buffer.alloc(bytes);
      frame.writeUInt32BE(word);
      frame.write(note, at);
      frame.writeUInt8(0xf, at + 7);
      return facts(Buffer.concat(Array.from({ length: 5 }, () => frame)));
    };
    // 8 kbit/s: 72 bytes at 8 kHz, where the table of contents alone takes 100; 48 bytes at 12 kHz, 24 at 24 kHz.
    expect(short(0xffe3_18c0, 72, 13, 'Info')).toMatchObject({ durationMs: 4 * 72, declaredDurationMs: 0 });
    expect(short(0xffe3_14c0, 48, 36, 'VBRI')).toMatchObject({
      durationMs: 5 * 48,
      declaredDurationMs: null,
    });
    expect(short(0xffe3_14c0, 48, 38, 'Info')).toMatchObject({
      durationMs: 5 * 48,
      declaredDurationMs: null,
    });
  });
});
