import { type NoteKey, type NoteSignature, parseNote, verifyNote } from './note.ts';

/** How a witness is named where its cosignatures are kept: name and id of its key. */
export const witnessName = ({ name, id }: NoteKey): string => `${name}+${id.toString('hex')}`;

/**
 * The cosignature by `key` among signature lines that came for a note; null when there is none or it is wrong. Lines are
 * attacker-controlled; those of unknown keys are passed over.
 */
export const cosignatureOf = (note: string, lines: string, key: NoteKey): NoteSignature | null => {
  const text = parseNote(note)?.text;
  const answer = text === undefined ? null : parseNote(`${text}\n${lines}`);
  // The lines must not bring a text of their own.
  if (answer === null || answer.text !== text) return null;
  const verified = verifyNote(answer, [key]);
  if (verified === null || verified.length === 0) return null;
  return answer.signatures.find(({ name, keyId }) => name === key.name && keyId.equals(key.id)) ?? null;
};
