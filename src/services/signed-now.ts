import { setTimeout as pause } from 'node:timers/promises';
import type { LogEvidence } from '../audit/log-evidence.ts';
import { parseNote } from '../core/audit/note.ts';
import { isAppError } from '../core/errors.ts';

/** Signs what the log has now, unless that is done already. */
export type CheckpointNow = () => Promise<void>;

/**
 * So that what is given out is signed wherever it can be. A checkpoint that cannot be made now is no reason to give nothing:
 * whoever receives it sees how far the newest one reaches. A log that contradicts its checkpoints takes no entry either, and
 * nothing is given without one.
 */
export const signedNow = async (checkpointNow: CheckpointNow): Promise<void> => {
  try {
    await checkpointNow();
  } catch (error) {
    if (!isAppError(error)) throw error;
  }
};

/** Witnesses are asked as soon as a checkpoint is kept, and answer within this unless they are away. */
const WITNESS_MS = 2_000;
const LOOK_MS = 100;

/**
 * The newest checkpoint of at most `size` entries, with the witnesses under it that stood under the last one, if they come
 * soon: a note that was made a moment ago has none yet. The log's own signature is the first.
 */
export const cosignedNote = async (
  evidence: Pick<LogEvidence, 'checkpoint' | 'witnesses'>,
  size: number,
): Promise<string | null> => {
  const wanted = 1 + (await evidence.witnesses());
  for (let waited = 0; ; waited += LOOK_MS) {
    const note = await evidence.checkpoint(size);
    const signatures = note === null ? wanted : (parseNote(note)?.signatures.length ?? wanted);
    if (signatures >= wanted || waited >= WITNESS_MS) return note;
    await pause(LOOK_MS);
  }
};
