import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPullParser, type Parser, pass, peek, skip, take } from '../../../../src/core/audio/pull.ts';

function* script(): Parser<unknown[]> {
  const seen: unknown[] = [];
  seen.push((yield* take(3)).toString('latin1'));
  seen.push((yield* peek(4)).toString('latin1'));
  seen.push(yield* skip(2));
  let heard = '';
  seen.push(yield* pass(5, (bytes) => (heard += bytes.toString('latin1'))), heard);
  seen.push((yield* take(0)).length, yield* skip(0));
  seen.push((yield* take(100)).toString('latin1'), (yield* peek(1)).length, yield* skip(7));
  return seen;
}

test('a parser sees the same stream however it is cut', () => {
  const whole = Buffer.from('abcdefghijklmnop');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 }), (cuts) => {
      const parser = createPullParser(script());
      let at = 0;
      for (const bytes of cuts) {
        parser.push(whole.subarray(at, at + bytes));
        at += bytes;
      }
      parser.push(whole.subarray(at));
      expect(parser.finish()).toEqual(['abc', 'defg', 2, 5, 'fghij', 0, 0, 'klmnop', 0, 0]);
    }),
  );
});

test('at the end every question is answered with what there is', () => {
  const parser = createPullParser(script());
  parser.push(Buffer.from('abcd'));
  expect(parser.finish()).toEqual(['abc', 'd', 1, 0, '', 0, 0, '', 0, 0]);
});

test('a chunk the caller reuses after the push does not change what the parser reads', () => {
  const parser = createPullParser(take(6));
  const chunk = Buffer.from('abc');
  parser.push(chunk);
  chunk.fill('x');
  parser.push(Buffer.from('def'));
  expect(parser.finish().toString()).toBe('abcdef');
});

test('what comes after the end of the parser or of the stream is ignored', () => {
  const short = createPullParser(take(1));
  short.push(new Uint8Array([65, 66]));
  short.push(new Uint8Array([67]));
  expect(short.finish().toString()).toBe('A');

  const ended = createPullParser(take(9));
  ended.push(new Uint8Array([65]));
  expect(ended.finish().toString()).toBe('A');
  ended.push(new Uint8Array([66]));
  expect(ended.finish().toString()).toBe('A');
});
