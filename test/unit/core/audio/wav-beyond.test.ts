import { describe, expect, test } from 'vitest';
import { pcm16, riffChunk, oneSecond as second, wavFile } from '../../../support/audio-files.ts';
import { facts, isDerived, played, probeAudio } from '../../../support/probe-audio.ts';

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
