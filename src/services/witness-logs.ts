import { type NoteKey, signatureLine } from '../core/audit/note.ts';
import {
  judgeCheckpoint,
  originOf,
  parseAddCheckpoint,
  unseenTree,
  type WitnessVerdict,
} from '../core/audit/witness.ts';
import type { WitnessSigner } from '../crypto/witness-key.ts';
import type { WitnessState } from '../storage/witness-state.ts';

export type WitnessDeps = {
  readonly signer: WitnessSigner;
  readonly state: WitnessState;
  /** Keys of the logs that are witnessed; a log is known by the name of its keys. */
  readonly logs: readonly NoteKey[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/** `cosigned`: signature lines for the note. */
export type WitnessAnswer =
  | Exclude<WitnessVerdict, { readonly kind: 'accepted' }>
  | { readonly kind: 'cosigned'; readonly lines: string; readonly origin: string; readonly size: number };

/**
 * Remembers of every log the last tree it has cosigned, and cosigns only what continues it. What it cosigns is durable
 * before the answer is there; requests are judged one after the other, so that none overtakes the memory of another.
 */
export const createWitness = ({ signer, state, logs, now }: WitnessDeps) => {
  let last: Promise<unknown> = Promise.resolve();

  const judge = async (body: string): Promise<WitnessAnswer> => {
    const request = parseAddCheckpoint(body);
    const origin = (request && originOf(request)) ?? '';
    const verdict = judgeCheckpoint(request, {
      keys: logs.filter(({ name }) => name === origin),
      seen: state.get(origin) ?? unseenTree,
    });
    if (verdict.kind !== 'accepted') return verdict;
    await state.put(origin, verdict.tree);
    const lines = signatureLine(signer.cosign(verdict.text, Math.floor(now() / 1000)));
    return { kind: 'cosigned', lines, origin, size: verdict.tree.size };
  };

  return {
    /** Rejects when the state cannot be written; nothing is cosigned then. */
    add: (body: string): Promise<WitnessAnswer> => {
      const answer = last.then(() => judge(body));
      last = answer.catch(() => undefined);
      return answer;
    },
    /** Resolves when nothing is under way any more. */
    settled: async (): Promise<void> => {
      await last;
    },
  };
};

export type Witness = ReturnType<typeof createWitness>;
