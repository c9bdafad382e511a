import { randomUUID } from 'node:crypto';
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from '../core/errors.ts';
import { freeBuffer } from '../core/free-buffer.ts';
import { isLoopbackHost } from '../core/network-address.ts';
import { type Answer, type Delivery, deliveryOf, UNTRUSTED_CODE, unanswered, untrusted } from './delivery.ts';

export type VaultClientOptions = {
  /** Of the vault, without a path. `https:`, or `http:` on this machine alone. */
  readonly url: string;
  /** API key of the source. Sent in a header, never shown. */
  readonly apiKey: string;
  /** Certificates (PEM) to trust instead of the system's. */
  readonly ca?: string;
  /** How long the vault may be silent, in milliseconds: also before it takes the connection. Asked at every try. */
  readonly silenceMs?: number | (() => number);
};

export type Upload = {
  /** Opened for every try anew. */
  readonly open: () => Readable;
  /** Nobody else has the chunks of it: each may be freed when it has been sent. */
  readonly disposable?: boolean | undefined;
  readonly bytes: number;
  /** SHA-256 of the bytes, hex. The vault refuses others. */
  readonly sha256: string;
  readonly mediaType?: string;
  /** As in the metadata of a call; every value text. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
};

/** A body on its way; `sha256`, hex, is that of the recording in it. */
export type Transfer = Pick<Upload, 'open' | 'disposable' | 'sha256'> & {
  readonly method: 'PUT' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly signal?: AbortSignal | undefined;
};

type Asking = { readonly body?: object; readonly signal?: AbortSignal | undefined };

const SILENCE_MS = 60_000;
/** Of an answer: a vault's are a few hundred bytes. What answers may be anything. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Throws `config_invalid` for what is no address of a vault, or one that would send calls in plain text over a network. */
export const parseVaultUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (
    url === null ||
    !['http:', 'https:'].includes(url.protocol) ||
    url.pathname !== '/' ||
    url.search !== ''
  )
    throw new AppError(
      'config_invalid',
      'The address of the vault is like https://vault.example.se, without a path.',
    );
  if (url.username !== '' || url.password !== '')
    throw new AppError(
      'config_invalid',
      'The address of the vault holds no user and password: the key goes into a file.',
    );
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname.replace(/^\[|\]$/g, '')))
    throw new AppError('config_invalid', 'Calls are not sent in plain text over a network: use https://.');
  return url;
};

/** `callId` → `x-call-id`, `careUnit` → `x-call-care-unit`; text in UTF-8, which Node sends as latin-1 characters. */
const headersOf = (metadata: Upload['metadata']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata).map(([field, value]) => [
      field === 'callId'
        ? 'x-call-id'
        : `x-call-${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
      Buffer.from(value, 'utf8').toString('latin1'),
    ]),
  );

const readAnswer = async (response: IncomingMessage): Promise<Answer> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) break;
    chunks.push(chunk);
  }
  const seconds = Number(response.headers['retry-after']);
  let body: unknown = null;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    // A proxy's page, or cut: the status tells enough.
  }
  return {
    status: response.statusCode ?? 0,
    retryAfter: Number.isSafeInteger(seconds) && seconds >= 0 ? seconds : null,
    body,
  };
};

/** Closed sentences: an error's own message may hold an address with a port, but never a name of a file or a key. */
const faults: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there: is the vault running?',
  ENOTFOUND: 'there is no machine of that name',
  EAI_AGAIN: 'the name of the vault cannot be looked up now',
  ETIMEDOUT: 'the vault did not answer in time',
  ECONNRESET: 'the connection was cut',
  FILE_CHANGED: 'the file became longer or shorter while it was sent',
  EPIPE: 'the connection was cut',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is self-signed: name it with --ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate is of an authority unknown here: name that with --ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is of an authority unknown here: name that with --ca',
  UNABLE_TO_GET_ISSUER_CERT: 'the certificate is of an authority unknown here: name that with --ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate is of an authority unknown here: name that with --ca',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is of another name',
  CERT_HAS_EXPIRED: 'the certificate has expired, or the clock of this machine is wrong',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet, or the clock of this machine is wrong',
};
/** Who answers is nobody known here: only an option mends that, and no time. */
const UNTRUSTED: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);
const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : '';
const sentenceOf = (error: unknown): string => {
  const code = codeOf(error);
  return faults[code] ?? `the vault cannot be reached (${/^[A-Z0-9_]{1,60}$/.test(code) ? code : 'unknown'})`;
};

/**
 * A body that is as long as was declared, or fails. Were the request to end early, the vault would wait for the rest, and
 * take what goes over the same connection next for it.
 */
const exactly = (bytes: number) =>
  async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let left = bytes;
    for await (const chunk of source) {
      left -= chunk.length;
      if (left < 0) break;
      yield chunk;
    }
    if (left !== 0) throw Object.assign(new Error('changed'), { code: 'FILE_CHANGED' });
  };

/** Frees every chunk when the system has it: what flows past otherwise waits for a full collection. */
const pump = async (chunks: AsyncIterable<Uint8Array>, request: ClientRequest): Promise<void> => {
  for await (const chunk of chunks) {
    await new Promise<void>((resolve, reject) => {
      request.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
    if (Buffer.isBuffer(chunk)) freeBuffer(chunk);
  }
  request.end();
};

/** Sends the body; resolves with the answer, which may come before all of it was sent. */
const exchange = async (
  request: ClientRequest,
  open: () => Readable,
  disposable: boolean,
): Promise<Answer> => {
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject);
  });
  const source = open();
  const whole = exactly(Number(request.getHeader('content-length')));
  const sent = disposable ? pump(whole(source), request) : pipeline(source, whole, request);
  sent.catch(() => undefined);
  // A file that cannot be read must not be taken for a silent vault.
  const unreadable = new Promise<never>((_, reject) => source.once('error', reject));
  unreadable.catch(() => undefined);
  try {
    const answer = await readAnswer(await Promise.race([answered, unreadable]));
    // Refused before all of it was sent: the rest goes nowhere, and neither does the connection.
    if (!request.writableFinished) request.destroy();
    return answer;
  } catch (error) {
    request.destroy();
    throw error;
  } finally {
    source.destroy();
  }
};

type Way = {
  readonly send: typeof httpRequest;
  readonly agent: HttpAgent | HttpsAgent;
  readonly url: URL;
};

const silenceOf = ({ silenceMs = SILENCE_MS }: VaultClientOptions): number =>
  typeof silenceMs === 'number' ? silenceMs : silenceMs();

const createAsk =
  (options: VaultClientOptions, { send, agent, url }: Way) =>
  /**
   * A short question, answered in JSON; null when there was no answer. `path` is ours, with ids that the vault gave. Throws
   * the signal's reason and nothing else. Of a certificate that is not trusted the answer is of status 0, and ours.
   */
  async (method: 'GET' | 'POST', path: string, { body, signal }: Asking): Promise<Answer | null> => {
    signal?.throwIfAborted();
    const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const request = send(new URL(path, url), {
      method,
      agent,
      // Given here it counts from the look-up of the name on, and not from the connection.
      timeout: silenceOf(options),
      ...(signal === undefined ? {} : { signal }),
      headers: {
        authorization: `Bearer ${options.apiKey}`,
        ...(bytes === null ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }),
      },
    });
    request.once('timeout', () => request.destroy(new Error('silent')));
    try {
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        request.once('response', resolve).on('error', reject);
      });
      request.end(bytes);
      return await readAnswer(await answered);
    } catch (error) {
      signal?.throwIfAborted();
      request.destroy();
      if (!UNTRUSTED.has(codeOf(error))) return null;
      return { status: 0, retryAfter: null, body: { code: UNTRUSTED_CODE, detail: sentenceOf(error) } };
    }
  };

/** What a source says to a vault. One client per program: connections are kept and used again. */
export const createVaultClient = (options: VaultClientOptions) => {
  const url = parseVaultUrl(options.url);
  const secure = url.protocol === 'https:';
  const pool = { keepAlive: true, maxSockets: 64 };
  const agent = secure
    ? new HttpsAgent({ ...pool, ...(options.ca === undefined ? {} : { ca: options.ca }) })
    : new HttpAgent(pool);
  const send = secure ? httpsRequest : httpRequest;

  /** Sends one body, to whatever address takes it; what comes of it as of `upload`. */
  const transfer = async ({
    method,
    path,
    headers,
    open,
    disposable,
    sha256,
    signal,
  }: Transfer): Promise<Delivery> => {
    signal?.throwIfAborted();
    const request = send(new URL(path, url), {
      method,
      agent,
      timeout: silenceOf(options),
      ...(signal === undefined ? {} : { signal }),
      headers: { authorization: `Bearer ${options.apiKey}`, ...headers },
    });
    request.once('timeout', () => request.destroy(Object.assign(new Error('silent'), { code: 'ETIMEDOUT' })));
    let unreadable: unknown = null;
    const watched = (): Readable =>
      open().once('error', (error) => {
        unreadable = error;
      });
    try {
      return deliveryOf(await exchange(request, watched, disposable === true), sha256);
    } catch (error) {
      signal?.throwIfAborted();
      // Its own fault, not the line's: for whoever knows the file.
      if (unreadable !== null && error === unreadable) throw error;
      return UNTRUSTED.has(codeOf(error)) ? untrusted(sentenceOf(error)) : unanswered(sentenceOf(error));
    }
  };

  return {
    /** One try. Throws what reading the file throws, and the signal's reason; everything else is a {@link Delivery}. */
    upload: ({ open, disposable, bytes, sha256, mediaType, metadata, signal }: Upload): Promise<Delivery> =>
      transfer({
        method: 'PUT',
        path: `/v1/ingest/${randomUUID()}`,
        headers: {
          'content-type': mediaType ?? 'application/octet-stream',
          'content-length': bytes,
          'content-digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
          ...headersOf(metadata),
        },
        open,
        disposable,
        sha256,
        signal,
      }),
    transfer,
    ask: createAsk(options, { send, agent, url }),
    close(): void {
      agent.destroy();
    },
  };
};

export type VaultClient = ReturnType<typeof createVaultClient>;
