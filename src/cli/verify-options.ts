import { InvalidArgumentError } from 'commander';
import { parseKnownHead } from '../core/audit/known-head.ts';
import { keyTypes, type NoteKey, parseNoteKey } from '../core/audit/note.ts';
import type { Trust } from '../core/audit/trust.ts';
import type { Anchor } from '../core/audit/verify.ts';

/** What `callvault verify` was told, whatever it is to look at. */
export type VerifyOptions = {
  readonly json?: boolean;
  readonly head: readonly Anchor[];
  readonly key: readonly NoteKey[];
  readonly witness: readonly NoteKey[];
  readonly quorum?: number;
  readonly against?: string;
  readonly live?: string;
};

/** `--head`, which may be given several times. */
export const collectHead = (text: string, known: readonly Anchor[]): readonly Anchor[] => {
  const head = parseKnownHead(text);
  if (head === null)
    throw new InvalidArgumentError(
      'A head is SIZE:ROOT, such as 12:6e34…: the number of entries, and 32 bytes in hex or base64.',
    );
  return [...known, head];
};

const collectKeyOf =
  (type: NoteKey['type'], kind: string) =>
  (text: string, known: readonly NoteKey[]): readonly NoteKey[] => {
    const key = parseNoteKey(text);
    if (key === null)
      throw new InvalidArgumentError(
        'A key is NAME+ID+KEY, in one line, as the vault and its witnesses name it.',
      );
    if (key.type !== type) throw new InvalidArgumentError(`This key is not one of a ${kind}.`);
    return [...known, key];
  };

/** `--key`, and `--witness`; each may be given several times. */
export const collectKey = collectKeyOf(keyTypes.ed25519, 'log');
export const collectWitness = collectKeyOf(keyTypes.cosignature, 'witness');

/** `--quorum`: 1 to 999. */
export const quorumOf = (text: string): number => {
  // None would make those who were named count for nothing.
  if (!/^\d{1,3}$/.test(text) || Number(text) === 0)
    throw new InvalidArgumentError('A number of witnesses, at least 1.');
  return Number(text);
};

/** Who must have signed: of the witnesses that were named all, unless a quorum was. */
export const trustOf = ({ key, witness, quorum = witness.length }: VerifyOptions): Trust => ({
  keys: key,
  witnesses: witness,
  quorum,
});
