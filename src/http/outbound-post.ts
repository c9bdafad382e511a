import { lookup } from 'node:dns/promises';
import type { ClientRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from '../core/public-address.ts';
import { authorityOf, bareHost } from '../core/webhook-url.ts';

/** What came of asking a receiver: the status of its answer, or a closed word why there is none. */
export type PostResult =
  | { readonly status: number }
  | { readonly fault: 'unresolved' | 'refused_address' | 'timeout' | 'tls' | 'connection' };

export type OutboundPost = (
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<PostResult>;

type Resolved = { readonly address: string; readonly family: number };

export type OutboundPostDeps = {
  /** `host:port` of receivers inside, which the operator permits. */
  readonly allowed: ReadonlySet<string>;
  /** Every address of a name. Asked once per request. */
  readonly resolve?: (host: string) => Promise<readonly Resolved[]>;
  /** Certificates that are believed besides the system's; PEM. */
  readonly ca?: string;
  readonly timeoutMs?: number;
};

/** For name, connection, TLS and the head of the answer together. */
const TIMEOUT_MS = 10_000;

const faultOf = (error: unknown): PostResult => {
  const { code, name } = error as { readonly code?: string; readonly name?: string };
  if (name === 'TimeoutError' || name === 'AbortError' || code === 'ABORT_ERR') return { fault: 'timeout' };
  const isTls =
    code !== undefined && /CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|ALTNAME/.test(code);
  return { fault: isTls ? 'tls' : 'connection' };
};

/** Hands out the address that was judged, whatever the name has come to mean since. */
const only =
  ({ address, family }: Resolved): LookupFunction =>
  (_host, options, done) => {
    if (options.all === true) done(null, [{ address, family }]);
    else done(null, address, family);
  };

const answered = (sent: ClientRequest, body: string): Promise<PostResult> =>
  new Promise((resolve) => {
    sent.once('response', (response) => {
      // What the receiver has to say besides its status is attacker-controlled and of no use.
      response.destroy();
      resolve({ status: response.statusCode ?? 0 });
    });
    sent.once('error', (error) => resolve(faultOf(error)));
    sent.end(body);
  });

/** Gives up when the time is over, also on what takes no signal, as the system's resolver. */
const within = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  signal.throwIfAborted();
  let stop: () => void = () => undefined;
  const late = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
};

const lookupAll = (host: string): Promise<readonly Resolved[]> => lookup(host, { all: true, verbatim: true });

/**
 * POSTs JSON to an address that an administrator has named, which is attacker-controlled: HTTPS only, no redirect is
 * followed, and the name is resolved once; when any of its addresses is not public, nothing is asked, and the connection goes
 * to the address that was judged. Never rejects.
 */
export const createOutboundPost = ({
  allowed,
  resolve = lookupAll,
  ca,
  timeoutMs = TIMEOUT_MS,
}: OutboundPostDeps): OutboundPost => {
  const addressOf = async (url: URL): Promise<Resolved | 'unresolved' | 'refused_address'> => {
    const host = bareHost(url);
    const family = isIP(host);
    const found = family === 0 ? await resolve(host).catch(() => []) : [{ address: host, family }];
    const [first] = found;
    if (first === undefined) return 'unresolved';
    const permitted = allowed.has(authorityOf(url)) || found.every(({ address }) => isPublicAddress(address));
    return permitted ? first : 'refused_address';
  };

  return async (target, body, headers, signal) => {
    const ends = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    try {
      const url = new URL(target);
      if (url.protocol !== 'https:') return { fault: 'refused_address' };
      const address = await within(addressOf(url), ends);
      if (typeof address === 'string') return { fault: address };
      const sent = httpsRequest(url, {
        method: 'POST',
        headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
        lookup: only(address),
        // A connection of its own: none that was opened under another judgement is used again.
        agent: false,
        signal: ends,
        ...(ca === undefined ? {} : { ca }),
      });
      return await answered(sent, body);
    } catch (error) {
      return faultOf(error);
    }
  };
};
