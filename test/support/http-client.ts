import { Agent, type IncomingHttpHeaders, request } from 'node:http';

/** An answer, read to its end. */
export type Reply = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
};

export type Ask = {
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is. */
  readonly body?: Buffer | string;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly form?: Form;
  /** `Authorization: Bearer …`. */
  readonly token?: string;
};

export type Form = { readonly contentType: string; readonly body: Buffer };

export type FormPart = {
  readonly name: string;
  readonly content: Buffer | string;
  readonly filename?: string;
  readonly type?: string;
  /** `Content-Digest` of the part. */
  readonly digest?: string;
};

const BOUNDARY = 'b-7bd4cf11b3c24c6a';

/** multipart/form-data by hand: names and file names go onto the wire as they are, right or wrong. */
export const formOf = (parts: readonly FormPart[], end = `--${BOUNDARY}--\r\n`): Form => {
  const chunks = parts.flatMap(({ name, content, filename, type, digest }) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const kind = type === undefined ? '' : `Content-Type: ${type}\r\n`;
    const sum = digest === undefined ? '' : `Content-Digest: ${digest}\r\n`;
    return [
      Buffer.from(
        `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${kind}${sum}\r\n`,
      ),
      Buffer.from(content),
      Buffer.from('\r\n'),
    ];
  });
  return {
    contentType: `multipart/form-data; boundary=${BOUNDARY}`,
    body: Buffer.concat([...chunks, Buffer.from(end)]),
  };
};

/** The form in which a telephony system delivers a recording. */
export const uploadForm = (metadata: unknown, audio: Buffer, mediaType = 'audio/wav'): Form =>
  formOf([
    { name: 'metadata', content: JSON.stringify(metadata), type: 'application/json' },
    { name: 'audio', content: audio, filename: 'audio', type: mediaType },
  ]);

const bodyOf = ({ json, form, body }: Ask): { type?: string; bytes?: Buffer } => {
  if (form !== undefined) return { type: form.contentType, bytes: form.body };
  if (json !== undefined) return { type: 'application/json', bytes: Buffer.from(JSON.stringify(json)) };
  return body === undefined ? {} : { bytes: Buffer.from(body) };
};

/**
 * HTTP as a stranger speaks it: every header and byte as given, nothing added but `Content-Length`, no redirects. `observe`
 * sees every answer.
 */
export const createHttpClient = (url: string, observe: (reply: Reply) => void = () => undefined) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const ask = (method: string, path: string, asked: Ask = {}): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const { type, bytes } = bodyOf(asked);
      const headers = {
        ...(type === undefined ? {} : { 'content-type': type }),
        ...(bytes === undefined ? {} : { 'content-length': String(bytes.length) }),
        ...(asked.token === undefined ? {} : { authorization: `Bearer ${asked.token}` }),
        ...asked.headers,
      };
      const outgoing = request(`${url}${path}`, { method, headers, agent }, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.once('error', reject);
        incoming.once('end', () => {
          const body = Buffer.concat(chunks);
          const reply = {
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body,
            text: body.toString('utf8'),
          };
          observe(reply);
          resolve(reply);
        });
      });
      outgoing.once('error', reject);
      outgoing.end(bytes);
    });

  return {
    url,
    ask,
    get: (path: string, asked?: Ask) => ask('GET', path, asked),
    head: (path: string, asked?: Ask) => ask('HEAD', path, asked),
    post: (path: string, asked?: Ask) => ask('POST', path, asked),
    put: (path: string, asked?: Ask) => ask('PUT', path, asked),
    patch: (path: string, asked?: Ask) => ask('PATCH', path, asked),
    delete: (path: string, asked?: Ask) => ask('DELETE', path, asked),
    close: () => agent.destroy(),
  };
};

export type HttpClient = ReturnType<typeof createHttpClient>;

/** The body as JSON, or an error that shows what came instead. */
export const jsonOf = <T>(reply: Reply, status?: number): T => {
  if (status !== undefined && reply.status !== status)
    throw new Error(`answered ${reply.status} instead of ${status}: ${reply.text.slice(0, 600)}`);
  return JSON.parse(reply.text) as T;
};
