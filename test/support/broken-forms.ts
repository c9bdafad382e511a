import { createHash, randomUUID } from 'node:crypto';
import { generatedCall } from './generated-call.ts';
import { type Ask, formOf } from './http-client.ts';

/** The form of a delivery, whole and in every way broken. */
export const audio = generatedCall(1, 31);

export const metadataPart = (metadata: unknown = { callId: randomUUID() }) => ({
  name: 'metadata',
  content: typeof metadata === 'string' ? metadata : JSON.stringify(metadata),
});
export const audioPart = { name: 'audio', content: audio, filename: 'audio.wav', type: 'audio/wav' };
export const multipart = 'multipart/form-data; boundary=x';
const halfMetadata = '--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"callId"';

type BrokenForm = readonly [what: string, ask: () => Ask, says: RegExp];

/** Deliveries that are no form of a recording, and what the refusal says of each. */
export const brokenForms: readonly BrokenForm[] = [
  ['garbage', () => ({ body: 'garbage', headers: { 'content-type': multipart } }), /closing boundary/],
  ['nothing at all', () => ({ body: '', headers: { 'content-type': multipart } }), /first part/],
  ['no boundary', () => ({ body: 'x', headers: { 'content-type': 'multipart/form-data' } }), /no boundary/],
  ['audio first', () => ({ form: formOf([audioPart, metadataPart()]) }), /first part must be metadata/],
  ['no audio', () => ({ form: formOf([metadataPart()]) }), /after metadata comes the part audio/],
  ['two recordings', () => ({ form: formOf([metadataPart(), audioPart, audioPart]) }), /nothing may follow/],
  [
    'a part __proto__',
    () => ({ form: formOf([{ name: '__proto__', content: '{}' }, audioPart]) }),
    /first part/,
  ],
  [
    'endless metadata',
    () => ({ form: formOf([metadataPart({ callId: 'x', queue: 'q'.repeat(70_000) }), audioPart]) }),
    /metadata is too long/,
  ],
  ['half a form', () => ({ form: formOf([metadataPart(), audioPart], '') }), /closing boundary/],
  [
    'half of its metadata',
    () => ({ form: { contentType: multipart, body: Buffer.from(halfMetadata) } }),
    /closing boundary/,
  ],
  ...['a\nb.wav', 'a\rb.wav', 'a\0b.wav'].map(
    (filename): BrokenForm => [
      `the file name ${JSON.stringify(filename)}`,
      () => ({
        form: {
          contentType: multipart,
          body: Buffer.concat([
            Buffer.from(
              `--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"callId":"1"}\r\n--x\r\n` +
                `Content-Disposition: form-data; name="audio"; filename="${filename}"\r\n\r\n`,
            ),
            audio,
            Buffer.from('\r\n--x--\r\n'),
          ]),
        },
      }),
      /^A line feed, carriage return or NUL stands in the file name of a part/,
    ],
  ),
  [
    'an unreadable digest',
    () => ({ form: formOf([metadataPart(), { name: 'sha256', content: 'zz' }, audioPart]) }),
    /SHA-256/,
  ],
  [
    'a digest of the whole form',
    () => ({
      form: formOf([metadataPart(), audioPart]),
      headers: { 'content-digest': `sha-256=:${createHash('sha256').update(audio).digest('base64')}:` },
    }),
    /among the headers of its part/,
  ],
  [
    'two digests that differ',
    () => ({
      form: formOf([
        metadataPart(),
        { name: 'sha256', content: createHash('sha256').update(audio).digest('hex') },
        { ...audioPart, digest: `sha-256=:${createHash('sha256').digest('base64')}:` },
      ]),
    }),
    /not the same digest/,
  ],
  [
    'an unreadable digest of the part',
    () => ({ form: formOf([metadataPart(), { ...audioPart, digest: 'sha-256=zz' }]) }),
    /SHA-256/,
  ],
];
