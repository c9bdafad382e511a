import { isFor } from '../audit/audience.ts';
import type { LogEvidence, RawEntry } from '../audit/log-evidence.ts';
import type { UserActor } from '../core/access.ts';
import { parseCheckpoint } from '../core/audit/checkpoint.ts';
import { commitmentOf, leafOf, SALT_BYTES } from '../core/audit/commitment.ts';
import { decodeBody } from '../core/audit/entry.ts';
import { parseNote } from '../core/audit/note.ts';
import { AppError } from '../core/errors.ts';
import { audienceOf, type RecordReading } from './log-question.ts';
import { type CheckpointNow, cosignedNote, signedNow } from './signed-now.ts';

export type ProveLogDeps = {
  readonly evidence: Pick<
    LogEvidence,
    'head' | 'raw' | 'root' | 'inclusion' | 'consistency' | 'checkpoint' | 'witnesses' | 'damaged'
  >;
  readonly checkpointNow: CheckpointNow;
  readonly recordReading: RecordReading;
};

/** That a leaf is entry `seq` of the tree with this size and root (RFC 6962 §2.1.1). */
export type InclusionProof = {
  readonly seq: number;
  readonly size: number;
  readonly leaf: Buffer;
  readonly root: Buffer;
  readonly proof: readonly Buffer[];
};

/** That the tree of `from` entries is the beginning of the tree of `to` (RFC 6962 §2.1.2). */
export type ConsistencyProof = {
  readonly from: number;
  readonly to: number;
  readonly fromRoot: Buffer;
  readonly toRoot: Buffer;
  readonly proof: readonly Buffer[];
};

export type EntryProof = InclusionProof & {
  /** The very text that was committed to. */
  readonly body: string;
  readonly salt: Buffer;
  readonly commitment: Buffer;
  /** The signed note of this size and root; null when the entry is newer than the newest checkpoint. */
  readonly checkpoint: string | null;
};

const beyond = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The log has no such tree to prove anything about.', {
    faults: [{ where, fault }],
  });

const assertWithin = (where: string, size: number, head: number): void => {
  if (size > head) throw beyond(where, `is beyond the log, which has ${head} entries now`);
};

const noEntry = (): AppError => new AppError('not_found', 'There is no such entry.');

type ReadableEntry = RawEntry & { readonly salt: Buffer; readonly body: string };

/** Null for what these readers may not see. Throws `integrity_failure` for an entry that is not the one committed to. */
const readable = (
  raw: RawEntry | null,
  actor: UserActor,
  damaged: LogEvidence['damaged'],
): ReadableEntry | null => {
  if (raw === null || raw.salt === null || raw.body === null) return null;
  const entry = { ...raw, salt: raw.salt, body: raw.body };
  const committed =
    entry.salt.length === SALT_BYTES && commitmentOf(entry.salt, entry.body).equals(entry.commitment);
  if (!committed) throw damaged(entry.seq);
  return isFor(audienceOf(actor), decodeBody(entry.body)) ? entry : null;
};

/**
 * Proofs about the log. A bare proof is hashes and sizes, which say nothing about anybody, so whoever may read the log at all
 * is given one for any entry and none is written down; body and salt are reading, and are an entry like all reading.
 */
export const createProveLog = ({ evidence, checkpointNow, recordReading }: ProveLogDeps) => {
  const newestCheckpoint = async (size: number) => {
    const note = await cosignedNote(evidence, size);
    const signed = note === null ? null : parseCheckpoint(parseNote(note)?.text ?? '');
    return signed && { size: signed.size, checkpoint: note };
  };

  /** The tree that the newest checkpoint signs, made now for an entry that is in none; else the present one. */
  const treeFor = async (seq: number) => {
    const { size } = await evidence.head();
    const kept = await newestCheckpoint(size);
    if (kept !== null && seq < kept.size) return kept;
    await signedNow(checkpointNow);
    const made = await newestCheckpoint(size);
    return made !== null && seq < made.size ? made : { size, checkpoint: null };
  };

  const prove = async (seq: number, size: number, commitment: Buffer): Promise<InclusionProof> => ({
    seq,
    size,
    leaf: leafOf(commitment),
    root: await evidence.root(size),
    proof: await evidence.inclusion(seq, size),
  });

  return {
    /** In the tree of `size` entries; of all there are when absent. Rejects with `invalid_request`, naming the present size. */
    async inclusion(seq: number, wanted?: number): Promise<InclusionProof> {
      const { size: head } = await evidence.head();
      const size = wanted ?? head;
      assertWithin('size', size, head);
      if (seq >= size) throw beyond('seq', `is not below ${size}; the log has ${head} entries now`);
      const raw = await evidence.raw(seq);
      if (raw === null) throw new AppError('integrity_failure', 'The access log misses a part of its tree.');
      return prove(seq, size, raw.commitment);
    },

    /** To the tree of all there is when `to` is absent. */
    async consistency(from: number, wanted?: number): Promise<ConsistencyProof> {
      const { size: head } = await evidence.head();
      const to = wanted ?? head;
      assertWithin('to', to, head);
      if (from > to) throw beyond('from', `is beyond ${to}; the log has ${head} entries now`);
      return {
        from,
        to,
        fromRoot: await evidence.root(from),
        toRoot: await evidence.root(to),
        proof: await evidence.consistency(from, to),
      };
    },

    /** Rejects with `not_found` for another organisation's entry as for one that does not exist. */
    async entry(actor: UserActor, seq: number, request: string): Promise<EntryProof> {
      const entry = readable(await evidence.raw(seq), actor, evidence.damaged);
      if (entry === null) {
        await recordReading(actor, request, [], 'denied');
        throw noEntry();
      }
      const { size, checkpoint } = await treeFor(seq);
      const proof = await prove(seq, size, entry.commitment);
      await recordReading(actor, request, [seq]);
      return { ...proof, body: entry.body, salt: entry.salt, commitment: entry.commitment, checkpoint };
    },
  };
};

export type ProveLog = ReturnType<typeof createProveLog>;
