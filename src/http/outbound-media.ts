import type { IncomingMessage } from 'node:http';
import { LONGEST_FETCH_PAUSE_MS } from '../core/fetch-pauses.ts';
import { retryAfterSeconds } from '../core/retry-after.ts';
import type { AskProvider, ProviderAnswer } from '../services/provider-media.ts';
import { createOutboundRequest, type Outbound, type OutboundDeps } from './outbound-request.ts';

/** A provider that sends nothing for so long has given up. */
const IDLE_MS = 30_000;
/** From the provider to where its media lie, and once more from there. */
const MAX_REDIRECTS = 2;

const locationOf = ({ statusCode = 0, headers }: IncomingMessage, from: string): string | null => {
  if (![301, 302, 303, 307, 308].includes(statusCode) || headers.location === undefined) return null;
  return URL.canParse(headers.location, from) ? new URL(headers.location, from).href : null;
};

const answerOf = (message: IncomingMessage, now: number): ProviderAnswer => {
  // Whoever reads it hears the error; where nobody does, as after a refusal, it is of no interest.
  message.on('error', () => undefined);
  return {
    status: message.statusCode ?? 0,
    mediaType: message.headers['content-type'] ?? null,
    coded: (message.headers['content-encoding'] ?? 'identity') !== 'identity',
    retryAfter: retryAfterSeconds(message.headers['retry-after'], now, LONGEST_FETCH_PAUSE_MS / 1000),
    body: message,
    close: () => void message.destroy(),
  };
};

/**
 * Asks a telephony provider for a recording, or to delete one, as outbound-request.ts has it. Where it says that the sound
 * lies elsewhere, that is asked once more without the credentials, under the same rules: HTTPS and public addresses.
 */
export const createOutboundMedia = (
  deps: OutboundDeps & { readonly idleMs?: number; readonly now: () => number },
): AskProvider => {
  const { idleMs = IDLE_MS, now, ...rest } = deps;
  const ask = createOutboundRequest(rest);
  return async ({ method, url, user, password }, signal) => {
    const basic = `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`;
    // Bytes as they are: what is decoded on the way could not be compared with its length.
    const plain = { 'accept-encoding': 'identity', 'user-agent': 'callvault' };
    const asked = (headers: Outbound['headers']): Outbound => ({ method, headers, idleMs });
    let from = url;
    let answer = await ask(from, asked({ ...plain, authorization: basic }), signal);
    for (let n = 0; n < MAX_REDIRECTS && !('fault' in answer); n += 1) {
      const to = method === 'GET' ? locationOf(answer, from) : null;
      if (to === null) break;
      answer.destroy();
      from = to;
      answer = await ask(from, asked(plain), signal);
    }
    return 'fault' in answer ? answer : answerOf(answer, now());
  };
};
