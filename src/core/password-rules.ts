/** Length is what makes a password hard to guess; rules about kinds of characters make it worse (NIST SP 800-63B §3.1.1.2). */
export const MIN_PASSWORD = 12;
export const MAX_PASSWORD = 200;

const MIN_DIFFERENT_CHARACTERS = 5;
/** A part of one's own name this long inside the password is what a guesser tries first. */
const MIN_OWN_WORD = 4;

const ownWords = (texts: readonly string[]): string[] =>
  texts
    .flatMap((text) => text.toLowerCase().split(/[^\p{L}\p{N}]+/u))
    .concat('callvault', 'password', 'lösenord')
    .filter((word) => word.length >= MIN_OWN_WORD);

const withoutWords = (password: string, words: readonly string[]): string =>
  words.reduce((rest, word) => rest.replaceAll(word, ''), password.toLowerCase());

/** What is wrong with a password that a person chose, or null. `about`: the person's names and e-mail address. */
export const passwordFault = (password: string, about: readonly string[]): string | null => {
  const length = [...password].length;
  if (length < MIN_PASSWORD) return `must have at least ${MIN_PASSWORD} characters`;
  if (password.length > MAX_PASSWORD) return `must have at most ${MAX_PASSWORD} characters`;
  if (new Set(password).size < MIN_DIFFERENT_CHARACTERS) return 'repeats too few characters';
  if (withoutWords(password, ownWords(about)).length < MIN_PASSWORD / 2)
    return 'consists of your name, your address or a word everybody tries first';
  return null;
};
