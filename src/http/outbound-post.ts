import { createOutboundRequest, type OutboundDeps, type OutboundFault } from './outbound-request.ts';

/** What came of asking a receiver: the status of its answer, or a closed word why there is none. */
export type PostResult = { readonly status: number } | OutboundFault;

export type OutboundPost = (
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<PostResult>;

export type OutboundPostDeps = OutboundDeps & { readonly timeoutMs?: number };

/** For name, connection, TLS and the head of the answer together. */
const TIMEOUT_MS = 10_000;

/** POSTs JSON to an address that an administrator has named, as outbound-request.ts has it. Never rejects. */
export const createOutboundPost = ({ timeoutMs = TIMEOUT_MS, ...deps }: OutboundPostDeps): OutboundPost => {
  const ask = createOutboundRequest(deps);
  return async (url, body, headers, signal) => {
    const ends = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const answer = await ask(url, { method: 'POST', headers, body }, ends);
    if ('fault' in answer) return answer;
    // What the receiver has to say besides its status is attacker-controlled and of no use.
    answer.destroy();
    return { status: answer.statusCode ?? 0 };
  };
};
