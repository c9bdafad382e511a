import { describe, expect, test } from 'vitest';
import { playableOf } from '../../../../src/core/audio/playable.ts';
import { placeToKeep } from '../../../../src/core/audio/sound-place.ts';
import { riffChunk, oneSecond as second, wavFile } from '../../../support/audio-files.ts';
import { facts, isDerived, played, probeAudio } from '../../../support/probe-audio.ts';

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

test('data before its format is played, and flagged', () => {
  const whole = wavFile({ data: second });
  const file = Buffer.concat([whole.subarray(0, 12), whole.subarray(36), whole.subarray(12, 36)]);
  expect(facts(file)).toMatchObject({ codec: 'pcm_s16', durationMs: 1000, flags: ['header_invalid'] });
  expect(played(file).equals(second)).toBe(true);
  expect(isDerived(file)).toBe(true);
});
