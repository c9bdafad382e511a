/** Six digits in a row, of any script, in any compatibility form (full-width, superscript). */
const SIX_DIGITS = /\p{Nd}{6}/u;
/** A number written to be dialled: 070-174 06 05, +46 (8) 465-004-01. Not the tail of a date: 2026-01-05-10-30. */
const DIALLED = /(?:\+|(?<!\p{Nd}[ ._()-]{0,2})0)(?:[ ._()-]{0,2}\p{Nd}){7}/u;

/**
 * Whether a text that will be seen by strangers (a path, a word in the log, a problem's detail) may hold a telephone or
 * identity number. Errs towards yes. The text is attacker-controlled; both patterns are linear.
 */
export const mayHoldNumber = (text: string): boolean => {
  const plain = text.normalize('NFKC');
  return SIX_DIGITS.test(plain) || DIALLED.test(plain);
};

/** A name short and plain enough to be repeated to whoever sent it. */
const IDENTIFIER = /^[A-Za-z][A-Za-z0-9_-]{0,40}$/;

/** The name of a field as it may appear in an answer; null when it could itself be what must not be shown. */
export const showableName = (name: string): string | null =>
  IDENTIFIER.test(name) && !mayHoldNumber(name) ? name : null;
