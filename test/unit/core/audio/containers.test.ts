import { describe, expect, test } from 'vitest';
import { audioFixture, facts, probeAudio } from '../../../support/probe-audio.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('AMR', () => {
  const frames = (types: readonly number[], lengths: readonly number[]) =>
    types.map((type) => Buffer.concat([Buffer.from([type << 3]), Buffer.alloc(lengths[type]! - 1)]));
  const narrow = [13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1];
  const wide = [18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1];

  test.each([
    ['#!AMR\n', 'amr_nb', 8000, narrow, [0, 1, 2, 3, 4, 5, 6, 7, 8, 15]],
    ['#!AMR-WB\n', 'amr_wb', 16_000, wide, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15]],
  ] as const)('%j: frames of every length are counted, 20 ms each', (magic, codec, rate, lengths, types) => {
    const bytes = Buffer.concat([latin1(magic), ...frames(types, lengths)]);
    expect(facts(bytes)).toMatchObject({
      codec,
      sampleRate: rate,
      channels: 1,
      durationMs: types.length * 20,
      flags: [],
    });
    expect(probeAudio(bytes, 1).facts).toEqual(facts(bytes));
  });

  test('cut within the last frame; nothing but the magic; a type that does not exist', () => {
    const two = Buffer.concat([latin1('#!AMR\n'), ...frames([7, 7], narrow)]);
    expect(facts(two.subarray(0, -1))).toMatchObject({ durationMs: 20, flags: ['truncated'] });
    expect(facts(latin1('#!AMR\n'))).toMatchObject({ durationMs: 0, flags: ['empty'] });
    const odd = Buffer.concat([latin1('#!AMR\n'), Buffer.from([10 << 3]), ...frames([7], narrow)]);
    expect(facts(odd)).toMatchObject({ durationMs: 20, flags: ['gaps'] });
  });

  test('several channels are kept, unmeasured', () => {
    expect(facts(latin1('#!AMR_MC1.0\n\0\0\0\x02'))).toMatchObject({
      container: 'amr',
      codec: null,
      durationMs: null,
      flags: ['unknown_codec'],
    });
  });
});

describe('ADTS', () => {
  const whole = audioFixture('aac.aac');

  test('cut, and with something else behind it', () => {
    expect(facts(whole.subarray(0, -1))).toMatchObject({
      codec: 'aac',
      durationMs: 640,
      flags: ['truncated'],
    });
    expect(facts(Buffer.concat([whole, Buffer.alloc(2000, 1)]))).toMatchObject({
      codec: 'aac',
      durationMs: 768,
      flags: ['gaps'],
    });
  });

  test('two headers by chance are no stream', () => {
    const chance = Buffer.concat([whole.subarray(0, 7), Buffer.alloc(5000, 3)]);
    expect(facts(chance)).toMatchObject({ container: null, flags: ['unknown_format'] });
  });
});

const box = (type: string, body: Uint8Array, size = body.length + 8): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(size);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, body]);
};
const FTYP = box('ftyp', latin1('M4A \0\0\0\0'));

describe('MP4', () => {
  const last = audioFixture('aac.m4a');
  const first = audioFixture('aac-moov-first.m4a');
  const fragmented = audioFixture('aac-fragmented.m4a');

  test('cut in its sound: what it announced is known, what is there is not; and flagged', () => {
    expect(facts(first.subarray(0, -100))).toMatchObject({
      codec: 'aac',
      declaredDurationMs: 600,
      durationMs: null,
      flags: ['truncated'],
    });
  });

  test('cut before the description that stands at the end', () => {
    expect(facts(last.subarray(0, 2000))).toMatchObject({
      container: 'mp4',
      codec: null,
      durationMs: null,
      flags: ['unknown_codec', 'truncated'],
    });
  });

  test('all in one fragment, and that is cut: how much of it is there is not known, and not nothing', () => {
    const one = audioFixture('aac-one-fragment.m4a');
    expect(facts(one.subarray(0, Math.floor(one.length / 2)))).toMatchObject({
      codec: 'aac',
      durationMs: null,
      flags: ['length_unknown', 'truncated'],
    });
  });

  test('of fragments those count whose sound is there', () => {
    const whole = facts(fragmented).durationMs!;
    const cut = facts(fragmented.subarray(0, Math.floor(fragmented.length * 0.7)));
    expect(cut.flags).toContain('truncated');
    expect(cut.durationMs).toBeGreaterThan(0);
    expect(cut.durationMs).toBeLessThan(whole);
  });

  test('a description without sound', () => {
    const moov = first.subarray(
      first.indexOf('moov', 0, 'latin1') - 4,
      first.indexOf('mdat', 0, 'latin1') - 4,
    );
    const bare = Buffer.concat([FTYP, moov.subarray(0, moov.readUInt32BE(0))]);
    expect(facts(bare)).toMatchObject({ codec: 'aac', durationMs: 0, flags: ['empty'] });
  });

  test.each([
    ['a box shorter than its head', box('moov', Buffer.alloc(0), 7)],
    ['a long length that is cut', latin1('\0\0\0\x01mdat\0\0')],
    ['a long length shorter than its head', latin1('\0\0\0\x01mdat\0\0\0\0\0\0\0\x0f')],
  ])('%s: kept, flagged', (_, bytes) => {
    expect(facts(Buffer.concat([FTYP, bytes])).flags).toContain('header_invalid');
  });

  test('lengths beyond every stream hold nothing and end', () => {
    const huge = latin1('\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff');
    expect(facts(Buffer.concat([FTYP, huge, Buffer.alloc(5000)]))).toMatchObject({ durationMs: null });
    for (const type of ['stsd', 'mvhd', 'trun', 'free'])
      expect(facts(Buffer.concat([FTYP, box(type, Buffer.alloc(9, 255), 0xffff_fff0)])).flags).toContain(
        'truncated',
      );
  });

  test('a run that counts four thousand million samples of which none is there adds nothing', () => {
    const moof = fragmented.indexOf('moof', 0, 'latin1') - 4;
    const tfhd = box('tfhd', latin1('\0\0\0\0\0\0\0\x01'));
    const trun = box('trun', latin1('\0\0\x01\0\xff\xff\xff\xff'));
    const bytes = Buffer.concat([fragmented.subarray(0, moof), tfhd, trun, box('mdat', Buffer.alloc(10))]);
    expect(facts(bytes)).toMatchObject({ codec: 'aac', durationMs: 0 });
  });

  test('a million boxes of nothing are not read to their end', () => {
    const boxes = Buffer.alloc(8_000_000);
    for (let at = 0; at < boxes.length; at += 8) boxes.write('\0\0\0\x08free', at, 'latin1');
    expect(facts(Buffer.concat([FTYP, boxes])).flags).toContain('header_invalid');
  });
});

/** An element with a length of two bytes. */
const element = (id: string, body: Buffer): Buffer =>
  Buffer.concat([latin1(id), Buffer.from([0x40 | (body.length >> 8), body.length & 255]), body]);
const opusBlock = (at: number, bytes: number): Buffer =>
  // Track 1, time since the cluster's, no flags; the first byte of the packet says 20 ms.
  element('\xa3', Buffer.concat([Buffer.from([0x81, at >> 8, at & 255, 0, 0x08]), Buffer.alloc(bytes)]));
const recorded = (...blocks: Buffer[]): Buffer =>
  Buffer.concat([
    element('\x1a\x45\xdf\xa3', element('\x42\x82', latin1('webm'))),
    latin1('\x18\x53\x80\x67\xff'),
    element(
      '\x16\x54\xae\x6b',
      element(
        '\xae',
        Buffer.concat([
          element('\xd7', latin1('\x01')),
          element('\x83', latin1('\x02')),
          element('\x86', latin1('A_OPUS')),
        ]),
      ),
    ),
    latin1('\x1f\x43\xb6\x75\xff'),
    element('\xe7', latin1('\0')),
    ...blocks,
  ]);

describe('WebM', () => {
  const whole = audioFixture('opus.webm');
  const live = audioFixture('opus-live.webm');

  test('cut: as far as its blocks go', () => {
    const cut = facts(whole.subarray(0, Math.floor(whole.length / 2)));
    expect(cut).toMatchObject({ codec: 'opus', declaredDurationMs: 608 });
    expect(cut.flags).toContain('truncated');
    expect(cut.durationMs).toBeGreaterThan(50);
    expect(cut.durationMs).toBeLessThan(500);
  });

  test.each([40, 3000, 16_000])('a block of %i bytes counts when all of it is there', (bytes) => {
    const two = recorded(opusBlock(0, bytes), opusBlock(20, bytes));
    expect(facts(two)).toMatchObject({ codec: 'opus', durationMs: 40, flags: ['length_unknown'] });
    expect(facts(two.subarray(0, -1))).toMatchObject({
      durationMs: 20,
      flags: ['length_unknown', 'truncated'],
    });
    for (const pieceBytes of [1, 100, 16_384]) expect(probeAudio(two, pieceBytes).facts).toEqual(facts(two));
  });

  test('recorded live and cut: no length was promised', () => {
    const cut = facts(live.subarray(0, Math.floor(live.length / 2)));
    expect(cut.declaredDurationMs).toBeNull();
    expect(cut.flags).toContain('length_unknown');
    expect(cut.durationMs).toBeLessThan(500);
  });

  test('damage inside its head', () => {
    const at = whole.indexOf('A_OPUS', 0, 'latin1');
    const other = Buffer.from(whole);
    other.write('X_NONE', at, 'latin1');
    expect(facts(other)).toMatchObject({ codec: null });
    expect(facts(other).flags).toContain('unknown_codec');
  });

  test.each([
    ['a number of no length', latin1('\0\0\0\0\0')],
    ['a length of no length', latin1('\x83\0\0')],
    ['an element without end that may have none', latin1('\x83\xff\x01')],
  ])('%s: kept, flagged', (_, bytes) => {
    expect(facts(Buffer.concat([latin1('\x1a\x45\xdf\xa3\x80'), bytes])).flags).toContain('header_invalid');
  });

  test('a million elements of nothing are not read to their end', () => {
    const elements = Buffer.alloc(2_000_000);
    for (let at = 0; at < elements.length; at += 2) elements.writeUInt16BE(0xec80, at);
    expect(facts(Buffer.concat([latin1('\x1a\x45\xdf\xa3\x80'), elements])).flags).toContain(
      'header_invalid',
    );
  });
});

describe('AU', () => {
  const whole = audioFixture('ulaw.au');
  const patched = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32BE(value, at);
    return bytes;
  };

  test('cut; without a length; with one that is too short', () => {
    expect(facts(whole.subarray(0, 1044))).toMatchObject({
      declaredDurationMs: 600,
      durationMs: 125,
      flags: ['truncated'],
    });
    expect(facts(patched(8, 0xffff_ffff))).toMatchObject({
      declaredDurationMs: null,
      durationMs: 600,
      flags: ['length_unknown'],
    });
    expect(facts(patched(8, 800))).toMatchObject({ declaredDurationMs: 100, durationMs: 100, flags: [] });
  });

  test.each([
    ['a body inside the head', 4, 20, 'header_invalid'],
    ['a body beyond every stream', 4, 0xffff_ffff, 'empty'],
    ['another encoding', 12, 23, 'unknown_codec'],
    ['no rate', 16, 0, 'header_invalid'],
    ['too many channels', 20, 33, 'header_invalid'],
  ])('%s', (_, at, value, flag) => {
    expect(facts(patched(at, value)).flags).toContain(flag);
  });

  test('a head cut short', () => {
    expect(facts(whole.subarray(0, 23)).flags).toEqual(['header_invalid', 'empty']);
  });
});
