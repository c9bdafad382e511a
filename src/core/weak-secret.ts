/** Words that stand in every list of passwords, or that documentation uses as an example. */
const KNOWN =
  /pass(word|wd)?|secret|postgres|callvault|admin|minio|change[-_ ]?me|example|qwerty|letmein|test|demo|user|root|abc|123/gi;

const SHORTEST = 12;
/** A secret that is short, or of few different characters once the well-known words are taken out, is guessed. */
const FEWEST_CHARACTERS = 6;

/** Why a secret will not do, as the end of a sentence that does not quote it; null when it will. */
export const weakness = (secret: string): string | null => {
  if (secret.length < SHORTEST) return `is shorter than ${SHORTEST} characters`;
  const rest = new Set(secret.replace(KNOWN, '').toLowerCase());
  return rest.size < FEWEST_CHARACTERS ? 'is made of well-known words or of few characters' : null;
};
