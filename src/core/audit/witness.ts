import { type Checkpoint, openCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { emptyRange, HASH_BYTES, rootOf } from './merkle.ts';
import { MAX_NOTE_BYTES, type NoteKey, parseNote, strictBase64 } from './note.ts';
import { isConsistent } from './proof.ts';

/** C2SP tlog-witness: what a log asks of a witness, and what the witness may answer. */
export type AddCheckpoint = {
  /** Size of the tree that the witness is thought to have seen last. */
  readonly oldSize: number;
  /** RFC 6962 consistency proof from there to the checkpoint. */
  readonly proof: readonly Buffer[];
  /** The signed checkpoint. */
  readonly note: string;
};

const MAX_PROOF = 63;
/** A body beyond this is not read to its end. */
export const MAX_ADD_CHECKPOINT_BYTES = MAX_NOTE_BYTES + 4096;

const OLD_LINE = /^old (0|[1-9]\d{0,15})$/;

export const formatAddCheckpoint = ({ oldSize, proof, note }: AddCheckpoint): string =>
  `old ${oldSize}\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${note}`;

/** Null for a body that is none. Attacker-controlled. */
export const parseAddCheckpoint = (body: string): AddCheckpoint | null => {
  const blank = body.indexOf('\n\n');
  if (blank === -1 || body.length > MAX_ADD_CHECKPOINT_BYTES) return null;
  const [old = '', ...lines] = body.slice(0, blank).split('\n');
  const size = OLD_LINE.exec(old)?.[1];
  if (size === undefined || !Number.isSafeInteger(Number(size)) || lines.length > MAX_PROOF) return null;
  const proof = lines.map(strictBase64);
  if (proof.some((hash) => hash?.length !== HASH_BYTES)) return null;
  return { oldSize: Number(size), proof: proof as Buffer[], note: body.slice(blank + 2) };
};

/** What a witness remembers of a log: the last tree it has cosigned. */
export type WitnessedTree = { readonly size: number; readonly root: Buffer };

/** Of a log it has never cosigned. */
export const unseenTree: WitnessedTree = Object.freeze({ size: 0, root: rootOf(emptyRange) });

/**
 * `accepted`: to be remembered, and cosigned only then. `conflict`: not the tree that was seen last, whose size is the
 * answer. `inconsistent`: the proof does not lead from that tree to this one.
 */
export type WitnessVerdict =
  | { readonly kind: 'malformed' | 'unknown_log' | 'not_signed' | 'inconsistent' }
  | { readonly kind: 'conflict'; readonly size: number }
  | {
      readonly kind: 'accepted';
      readonly origin: string;
      readonly tree: WitnessedTree;
      readonly text: string;
    };

/** The name of the log that a request is about, or null when it says none. Nothing is verified. */
export const originOf = ({ note }: AddCheckpoint): string | null => {
  const parsed = parseNote(note);
  return parsed === null ? null : (parseCheckpoint(parsed.text)?.origin ?? null);
};

const againstSeen = (
  { oldSize, proof }: AddCheckpoint,
  { size, root }: Checkpoint,
  seen: WitnessedTree,
): WitnessVerdict['kind'] => {
  if (oldSize > size) return 'malformed';
  if (oldSize !== seen.size) return 'conflict';
  if (oldSize === size && !root.equals(seen.root)) return 'conflict';
  return isConsistent(oldSize, size, { from: seen.root, to: root }, proof) ? 'accepted' : 'inconsistent';
};

/**
 * Whether a witness that has seen `seen` of the log may cosign this. `keys` are those it trusts for the log; none: a log it
 * does not know. To be asked, and its answer remembered, as one step per log.
 */
export const judgeCheckpoint = (
  request: AddCheckpoint | null,
  { keys, seen }: { readonly keys: readonly NoteKey[]; readonly seen: WitnessedTree },
): WitnessVerdict => {
  const origin = request && originOf(request);
  if (request === null || origin === null) return { kind: 'malformed' };
  if (keys.length === 0) return { kind: 'unknown_log' };
  const checkpoint = openCheckpoint(request.note, { origin, keys });
  if (checkpoint === null) return { kind: 'not_signed' };
  const kind = againstSeen(request, checkpoint, seen);
  if (kind === 'conflict') return { kind, size: seen.size };
  if (kind !== 'accepted') return { kind };
  const { size, root } = checkpoint;
  return { kind, origin, tree: { size, root }, text: parseNote(request.note)!.text };
};
