import { cosignatureOf } from '../core/audit/cosignature.ts';
import type { NoteKey, NoteSignature } from '../core/audit/note.ts';
import { type AddCheckpoint, formatAddCheckpoint } from '../core/audit/witness.ts';

/** A witness as it is asked: its key, and the address below which it takes checkpoints. */
export type WitnessAddress = { readonly key: NoteKey; readonly url: string };

/**
 * What came of asking. `size`: it has seen another tree last, of so many entries, as it states. `refused`: it will not
 * cosign this, with its status. `away`: nothing that counts as an answer.
 */
export type WitnessReply =
  | { readonly kind: 'cosigned'; readonly signature: NoteSignature }
  | { readonly kind: 'size'; readonly size: number }
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'away' };

export type AskWitness = (
  witness: WitnessAddress,
  request: AddCheckpoint,
  signal: AbortSignal,
) => Promise<WitnessReply>;

const ANSWER_MS = 5_000;
const MAX_ANSWER_BYTES = 16 * 1024;

const away: WitnessReply = { kind: 'away' };

/** The text of an answer, or null when it is longer than any could be. Attacker-controlled. */
const textOf = async (response: Response): Promise<string | null> => {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) return null;
  }
  return text + decoder.decode();
};

const replyOf = async (response: Response, { key }: WitnessAddress, note: string): Promise<WitnessReply> => {
  const { status, headers } = response;
  const text = await textOf(response);
  if (text === null || status >= 500) return away;
  if (status === 200) {
    const signature = cosignatureOf(note, text, key);
    return signature === null ? away : { kind: 'cosigned', signature };
  }
  const isSize = status === 409 && headers.get('content-type')?.split(';')[0] === 'text/x.tlog.size';
  const size = isSize ? /^(0|[1-9]\d{0,14})\n$/.exec(text)?.[1] : undefined;
  return size === undefined ? { kind: 'refused', status } : { kind: 'size', size: Number(size) };
};

/** Asks over HTTP, once, within five seconds. Never rejects: whatever a witness does is not worth more than a reply. */
export const askWitness: AskWitness = async (witness, request, signal) => {
  try {
    const response = await fetch(`${witness.url}/add-checkpoint`, {
      method: 'POST',
      body: formatAddCheckpoint(request),
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      // Elsewhere is not who was named.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    return await replyOf(response, witness, request.note);
  } catch {
    return away;
  }
};
