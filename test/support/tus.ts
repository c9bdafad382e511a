import { createHash, randomUUID } from 'node:crypto';
import { request } from 'node:http';
import type { Ask, HttpClient, Reply } from './http-client.ts';

/** tus 1.0 by hand: every header as given, right or wrong. */
export const metadataHeader = (fields: Readonly<Record<string, string>>): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name} ${Buffer.from(value).toString('base64')}`)
    .join(',');

export const sha256Header = (body: Buffer): string =>
  `sha256 ${createHash('sha256').update(body).digest('base64')}`;

const VERSION = { 'tus-resumable': '1.0.0' };

type Headers = Readonly<Record<string, string>>;

export const createTus = (http: HttpClient, token: string) => {
  const ask = (method: string, path: string, headers: Headers, more: Ask = {}): Promise<Reply> =>
    http.ask(method, path, { token, ...more, headers: { ...VERSION, ...headers } });
  return {
    ask,
    begin: (length: number | string, fields: Headers = { callId: randomUUID() }, headers: Headers = {}) =>
      ask('POST', '/v1/uploads', {
        'upload-length': String(length),
        'upload-metadata': metadataHeader(fields),
        ...headers,
      }),
    head: (path: string, headers: Headers = {}) => ask('HEAD', path, headers),
    patch: (path: string, offset: number | string, body: Buffer, headers: Headers = {}) =>
      ask(
        'PATCH',
        path,
        { 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream', ...headers },
        { body },
      ),
    end: (path: string, headers: Headers = {}) => ask('DELETE', path, headers),
    /** A PATCH that sends `sent` of the declared bytes, and then nothing until it is cut; answered 0 if it never is. */
    standing: (path: string, offset: number, declared: number, sent: Buffer, headers: Headers = {}) => {
      const { hostname, port } = new URL(http.url);
      const outgoing = request({
        ...{ hostname, port, path, method: 'PATCH', agent: false },
        headers: {
          ...{ ...VERSION, authorization: `Bearer ${token}` },
          'upload-offset': String(offset),
          'content-type': 'application/offset+octet-stream',
          'content-length': String(declared),
          ...headers,
        },
      });
      const answered = new Promise<number>((resolve) => {
        outgoing.once('response', (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        });
        outgoing.on('error', () => resolve(0));
      });
      outgoing.write(sent);
      return { answered, cut: () => outgoing.destroy() };
    },
  };
};

export type Tus = ReturnType<typeof createTus>;

export const locationOf = ({ status, headers, text }: Reply): string => {
  if (status !== 201 || headers.location === undefined) throw new Error(`answered ${status}: ${text}`);
  return headers.location;
};

/** Id of the recording that an answer names. */
export const recordingOf = ({ headers }: Reply): string | undefined => {
  const id = headers['callvault-recording'];
  return Array.isArray(id) ? id[0] : id;
};
