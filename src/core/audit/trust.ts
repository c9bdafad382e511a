import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { keyTypes, type Note, type NoteKey, parseNote, type Verified, verifyNote } from './note.ts';

/** Whose word counts, as somebody was told outside of what is verified. */
export type Trust = {
  /** Keys of the log; none: nobody's signature is asked for. */
  readonly keys: readonly NoteKey[];
  readonly witnesses: readonly NoteKey[];
  /** How many of the witnesses must have seen a checkpoint. */
  readonly quorum: number;
};

export const trustNobody: Trust = Object.freeze({ keys: [], witnesses: [], quorum: 0 });

export type SignedCheckpoint = {
  readonly checkpoint: Checkpoint;
  /** Whether one of the log's trusted keys has signed it; false when none is known. */
  readonly signed: boolean;
  /** Trusted witnesses that saw it. */
  readonly witnesses: number;
  /** Seconds since 1970 at which the first of them saw it. */
  readonly seenAt: number | null;
};

export type Unsigned = {
  /** What is wrong with it, as the end of a sentence that begins with the checkpoint. */
  readonly fault: string;
  /** It is signed as it should be, and too few witnesses have seen it: of a new one they may still be told. */
  readonly isUnseen: boolean;
};

const otherSigners = ({ signatures }: Note): string =>
  signatures
    .slice(0, 3)
    .map(({ name, keyId }) => `${name}+${keyId.toString('hex')}`)
    .join(', ');

const signedWrongly = (fault: string): Unsigned => ({ fault, isUnseen: false });

const faultOf = (
  note: Note,
  { origin }: Checkpoint,
  verified: readonly Verified[],
  trust: Trust,
): Unsigned | null => {
  const own = verified.some(({ key }) => trust.keys.includes(key) && key.name === origin);
  if (trust.keys.length > 0 && !own)
    return signedWrongly(`is not signed by a key of the log that is trusted, but by ${otherSigners(note)}`);
  const seen = verified.filter(({ key }) => trust.witnesses.includes(key)).length;
  if (seen < trust.quorum)
    return {
      fault: `was seen by ${seen} of the witnesses, ${trust.quorum} are asked for`,
      isUnseen: true,
    };
  return null;
};

/** Reads a checkpoint and asks whether those have signed it who should. Attacker-controlled. */
export const openSigned = (text: string, trust: Trust): SignedCheckpoint | Unsigned => {
  const note = parseNote(text);
  const checkpoint = note && parseCheckpoint(note.text);
  if (note === null || checkpoint === null) return signedWrongly('is no signed checkpoint');
  const known = [
    ...trust.keys.filter(({ type }) => type === keyTypes.ed25519),
    ...trust.witnesses.filter(({ type }) => type === keyTypes.cosignature),
  ];
  const verified = verifyNote(note, known);
  if (verified === null) return signedWrongly('bears the name of a trusted key, but its signature is wrong');
  const fault = faultOf(note, checkpoint, verified, trust);
  if (fault !== null) return fault;
  const times = verified.flatMap(({ seconds }) => (seconds === null ? [] : [seconds]));
  return {
    checkpoint,
    signed: trust.keys.length > 0,
    witnesses: times.length,
    seenAt: times.length === 0 ? null : Math.min(...times),
  };
};
