import { lookup } from 'node:dns/promises';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from '../core/public-address.ts';
import { authorityOf, bareHost } from '../core/webhook-url.ts';

/** A closed word why there is no answer. */
export type OutboundFault = {
  readonly fault: 'unresolved' | 'refused_address' | 'timeout' | 'tls' | 'connection';
};

export type Outbound = {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** For how long nothing may arrive, the answer's body included. */
  readonly idleMs?: number;
};

/** The answer, of which the body is not read yet: to be read or destroyed. Never rejects. */
export type OutboundRequest = (
  url: string,
  asked: Outbound,
  signal: AbortSignal,
) => Promise<IncomingMessage | OutboundFault>;

type Resolved = { readonly address: string; readonly family: number };

export type OutboundDeps = {
  /** `host:port` of hosts inside, which the operator permits. */
  readonly allowed: ReadonlySet<string>;
  /** Every address of a name. Asked once per request. */
  readonly resolve?: (host: string) => Promise<readonly Resolved[]>;
  /** Certificates that are believed besides the system's; PEM. */
  readonly ca?: string;
};

const faultOf = (error: unknown): OutboundFault => {
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

const answered = (sent: ClientRequest, body: string | undefined): Promise<IncomingMessage | OutboundFault> =>
  new Promise((resolve) => {
    sent.once('timeout', () => sent.destroy(new DOMException('nothing arrives', 'TimeoutError')));
    sent.once('response', resolve);
    // Also after the answer has begun, when it is of no more use here.
    sent.on('error', (error) => resolve(faultOf(error)));
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
 * Asks an address that somebody else has named, which is attacker-controlled: HTTPS only, no redirect is followed, and the
 * name is resolved once; when any of its addresses is not public, nothing is asked, and the connection goes to the address
 * that was judged.
 */
export const createOutboundRequest = ({
  allowed,
  resolve = lookupAll,
  ca,
}: OutboundDeps): OutboundRequest => {
  const addressOf = async (url: URL): Promise<Resolved | 'unresolved' | 'refused_address'> => {
    const host = bareHost(url);
    const family = isIP(host);
    const found = family === 0 ? await resolve(host).catch(() => []) : [{ address: host, family }];
    const [first] = found;
    if (first === undefined) return 'unresolved';
    const permitted = allowed.has(authorityOf(url)) || found.every(({ address }) => isPublicAddress(address));
    return permitted ? first : 'refused_address';
  };

  return async (target, { method, headers, body, idleMs }, signal) => {
    try {
      const url = new URL(target);
      if (url.protocol !== 'https:') return { fault: 'refused_address' };
      const address = await within(addressOf(url), signal);
      if (typeof address === 'string') return { fault: address };
      const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
      const sent = httpsRequest(url, {
        method,
        headers: { ...headers, ...length },
        lookup: only(address),
        // A connection of its own: none that was opened under another judgement is used again.
        agent: false,
        signal,
        ...(idleMs === undefined ? {} : { timeout: idleMs }),
        ...(ca === undefined ? {} : { ca }),
      });
      return await answered(sent, body);
    } catch (error) {
      return faultOf(error);
    }
  };
};
