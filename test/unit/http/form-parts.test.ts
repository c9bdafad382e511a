import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { boundaryOf, readForm } from '../../../src/http/form-parts.ts';

const CRLF = '\r\n';
const part = (head: readonly string[], body: string): string =>
  `--x${CRLF}${head.map((line) => line + CRLF).join('')}${CRLF}${body}${CRLF}`;
const field = (name: string, body: string): string =>
  part([`Content-Disposition: form-data; name="${name}"`], body);
const END = `--x--${CRLF}`;

/** Names and bodies of all parts of a form that arrives in pieces of so many bytes. */
const read = async (text: string, pieceBytes = text.length) => {
  const bytes = Buffer.from(text, 'latin1');
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, i) =>
    Buffer.from(bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes)),
  );
  const form = readForm(Readable.from(pieces, { objectMode: false }), 'x');
  const found: { name: string | null; type: string | null; digest: string | undefined; body: string }[] = [];
  for (let next = await form.next(); next !== null; next = await form.next()) {
    const { name, mediaType, stream } = next;
    const body = Buffer.concat((await stream.toArray()) as Buffer[]).toString('latin1');
    found.push({ name, type: mediaType, digest: next.header('content-digest'), body });
  }
  return found;
};

test.each([1, 2, 3, 7, 64, 4096])('a form in pieces of %i bytes is the same form', async (pieceBytes) => {
  const audio = part(
    [
      'content-disposition: form-data; name=audio; filename="a; name=metadata\\"; name=x.wav"',
      'CONTENT-TYPE: Audio/WAV; rate=8000',
      'Content-Digest: sha-256=:a:',
    ],
    `half a boundary ${CRLF}--y and ${CRLF}-- and ${CRLF} are bytes like others`,
  );
  const text = `a preamble${CRLF}${field('metadata', '{"callId":"1"}')}${audio}${field('empty', '')}${END}an epilogue`;
  expect(await read(text, pieceBytes)).toEqual([
    { name: 'metadata', type: null, digest: undefined, body: '{"callId":"1"}' },
    {
      name: 'audio',
      type: 'audio/wav',
      digest: 'sha-256=:a:',
      body: `half a boundary ${CRLF}--y and ${CRLF}-- and ${CRLF} are bytes like others`,
    },
    { name: 'empty', type: null, digest: undefined, body: '' },
  ]);
});

test('no byte at all is a form without parts', async () => {
  expect(await read('')).toEqual([]);
});

test.each([
  'garbage',
  '--x',
  field('a', 'b'),
  field('a', 'b').slice(0, -2),
  '--x\r\nContent-Disp',
  `${field('a', 'b')}--x-`,
])('without its closing boundary it is none, cut anywhere (%j)', async (text) => {
  for (const pieceBytes of [1, 5, text.length]) await expect(read(text, pieceBytes)).rejects.toThrow();
});

test('a connection that is cut ends the part that is read, and the form', async () => {
  const source = new Readable({ read: () => undefined });
  const form = readForm(source, 'x');
  source.push(field('audio', 'the beginning').slice(0, -2));
  const opened = await form.next();
  const rest = opened?.stream.toArray();
  source.destroy();
  await expect(rest).rejects.toThrow('the connection ended');
  await expect(form.next()).rejects.toThrow('the connection ended');
});

test('parts beyond the fifth are parsed and dropped', async () => {
  const many = Array.from({ length: 50_000 }, (_, i) => field(`f${i}`, 'x')).join('');
  expect((await read(`${many}${END}`, 65_536)).map(({ name }) => name)).toEqual([
    'f0',
    'f1',
    'f2',
    'f3',
    'f4',
  ]);
});

describe('names', () => {
  test.each([
    ['form-data; name="a b"', 'a b'],
    ['form-data; NAME=a', 'a'],
    ['form-data;name=""', ''],
    ['form-data; filename="; name=evil"; name="good"', 'good'],
    ['form-data', null],
    ['attachment; name="a"', null],
    ['form-data; xname="a"', null],
    ['form-data; name', null],
  ])('%s', async (disposition, name) => {
    const found = await read(`${part([`Content-Disposition: ${disposition}`], 'x')}${END}`);
    expect(found.map((one) => one.name)).toEqual([name]);
  });

  test('a part without any headers has none', async () => {
    expect(await read(`--x${CRLF}X: y${CRLF}${CRLF}b${CRLF}${END}`)).toMatchObject([
      { name: null, body: 'b' },
    ]);
  });
});

test.each([
  ['multipart/form-data; boundary=abc', 'abc'],
  ['multipart/form-data; charset=utf-8; Boundary="a b;c"', 'a b;c'],
  [`multipart/form-data; boundary=${'a'.repeat(70)}`, 'a'.repeat(70)],
  [`multipart/form-data; boundary=${'a'.repeat(71)}`, null],
  ['multipart/form-data; boundary=', null],
  ['multipart/form-data; xboundary=a', null],
  ['multipart/form-data', null],
])('the boundary of %s', (contentType, boundary) => {
  expect(boundaryOf(contentType)).toBe(boundary);
});

describe('a control character in the headers of a part', () => {
  const audio = (filename: string) =>
    part(
      [`Content-Disposition: form-data; name="audio"; filename="${filename}"`, 'Content-Type: audio/wav'],
      'x',
    );

  test.each([
    ['a line feed in the file name', audio('a\nb.wav'), /the file name of a part/],
    ['a carriage return', audio('a\rb.wav'), /the file name of a part/],
    ['NUL', audio('a\0.wav'), /the file name of a part/],
    ['a line that looks like another header', audio('a\nContent-Type: x'), /the file name of a part/],
    [
      'in an extended file name',
      part(["Content-Disposition: form-data; name=audio; filename*=UTF-8''a\n"], 'x'),
      /file name/,
    ],
    [
      'in another header',
      part(['Content-Disposition: form-data; name="audio"', 'X-Y: a\nb'], 'x'),
      /a header of a part/,
    ],
    [
      'in the name of the field',
      part(['Content-Disposition: form-data; name="au\0dio"'], 'x'),
      /a header of a part/,
    ],
  ])('%s is refused in those words, however it arrives', async (_what, bad, says) => {
    for (const text of [
      `${bad}${END}`,
      `${field('metadata', '{}')}${bad}${END}`,
      `pre${CRLF}${field('', '')}${bad}`,
    ])
      for (const pieceBytes of [1, 3, text.length]) {
        const refusal = expect(read(text, pieceBytes)).rejects;
        await refusal.toMatchObject({ code: 'invalid_request', message: expect.stringMatching(says) });
      }
  });

  test.each([
    ['in the content', part(['Content-Disposition: form-data; name="audio"'], 'a\n\0\r b')],
    ['in a header that is continued', part(['Content-Disposition: form-data;', ' name="audio"'], 'x')],
    ['after the form', `${field('audio', 'x')}${END}\n\0`],
    ['in what looks like a boundary and is none', field('audio', `${CRLF}--y${CRLF}A: \n${CRLF}${CRLF}`)],
  ])('%s it is none', async (_what, text) => {
    for (const pieceBytes of [1, 3, text.length])
      expect(
        (await read(text.endsWith('\0') ? text : `${text}${END}`, pieceBytes)).map(({ name }) => name),
      ).toEqual(['audio']);
  });
});
