/** Words that stand in every list of passwords, or that documentation uses as an example. */
const KNOWN =
  /pass(word|wd)?|secret|postgres|callvault|admin|minio|change[-_ ]?me|example|qwerty|letmein|welcome|lösenord|välkommen|test|demo|user|root|abc|123/gi;

/** What fingers run along: digits, letters, rows and columns of keyboards. A run may begin anew at its end (7890123). */
const ROWS = [
  '01234567890123456789',
  '12345678901234567890',
  'abcdefghijklmnopqrstuvwxyzåäö',
  'qwertyuiopåasdfghjklöäzxcvbnm',
  'qwertyuiop',
  'asdfghjkl',
  'qwertzuiop',
  'yxcvbnm',
  'azertyuiop',
  'qsdfghjklm',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p',
  'qazwsxedcrfvtgbyhnujmikolp',
  '1q2w3e4r5t6y7u8i9o0p',
  'q1w2e3r4t5y6u7i8o9p0',
].flatMap((row) => [row, [...row].reverse().join('')]);
const SHORTEST_RUN = 4;
const LONGEST_ROW = Math.max(...ROWS.map((row) => row.length));

/** Stands where something was taken out; no keyboard types it. */
const GAP = '\0';

/** How many characters from `start` are one run; 0 when too few are to be one. */
const runAt = (text: string, start: number): number => {
  for (const row of ROWS.filter((one) => one.includes(text.slice(start, start + SHORTEST_RUN)))) {
    let length = Math.min(LONGEST_ROW, text.length - start);
    while (length >= SHORTEST_RUN && !row.includes(text.slice(start, start + length))) length -= 1;
    if (length >= SHORTEST_RUN) return length;
  }
  return 0;
};

const withoutRuns = (text: string): string => {
  let rest = '';
  for (let at = 0; at < text.length; ) {
    const run = runAt(text, at);
    rest += run === 0 ? text[at] : GAP;
    at += Math.max(run, 1);
  }
  return rest;
};

/**
 * What a guesser does not try first: the secret in small letters without `own` words (small letters, longest first),
 * well-known words and runs (1234, dcba, qwerty), each with the punctuation beside it.
 */
export const unguessable = (secret: string, own: readonly string[] = []): string => {
  const withoutOwn = own.reduce((rest, word) => rest.replaceAll(word, GAP), secret.toLowerCase());
  return withoutRuns(withoutOwn)
    .replace(KNOWN, GAP)
    .replace(/[^\p{L}\p{N}\0]{0,64}\0[^\p{L}\p{N}]{0,64}/gu, '');
};

const SHORTEST = 12;
/** A secret that is short, or of few different characters once what everybody tries is taken out, is guessed. */
export const FEWEST_CHARACTERS = 6;

/** Why a secret will not do, as the end of a sentence that does not quote it; null when it will. */
export const weakness = (secret: string): string | null => {
  if (secret.length < SHORTEST) return `is shorter than ${SHORTEST} characters`;
  return new Set(unguessable(secret)).size < FEWEST_CHARACTERS
    ? 'is made of well-known words or of few characters'
    : null;
};
