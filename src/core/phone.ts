import { parsePhoneNumberFromString } from 'libphonenumber-js/min';

export type PhoneNumber = {
  /** As the telephony system gave it. */
  readonly raw: string;
  readonly kind: 'e164' | 'short' | 'withheld' | 'other';
  /**
   * E.164, for `e164` only, and the only spelling that is indexed. Withheld callers and short numbers are shared by
   * thousands of calls: indexed, they would be the peaks by which a stolen index is read.
   */
  readonly canonical: string | null;
};

/** Where numbers without a country are dialled. */
const HOME = 'SE';
const MAX_CHARS = 256;
const E164 = /^\+[1-9]\d{6,14}$/;
/** Emergency and service numbers, extensions, feature codes. */
const SHORT = /^[*#\d]{1,6}$/;

/** How telephony systems and their configurators say "no number", in letters only. */
const withheldWords: ReadonlySet<string> = new Set([
  '',
  'anonym',
  'anonymous',
  'anonymouscaller',
  'blocked',
  'callerunknown',
  'dolt',
  'doltnummer',
  'hemligt',
  'hemligtnummer',
  'hidden',
  'hiddennumber',
  'na',
  'nocallerid',
  'none',
  'notavailable',
  'null',
  'okänd',
  'okänt',
  'okäntnummer',
  'privat',
  'private',
  'privatenumber',
  'privatnummer',
  'restricted',
  's',
  'skyddat',
  'skyddatnummer',
  'unavailable',
  'undefined',
  'unknown',
  'unknowncaller',
  'withheld',
  'withheldnumber',
]);

/**
 * A caller's or called number in the one spelling by which it is found. The text is attacker-controlled; it is never
 * repeated in an error, because there is none: what is not understood is kept as `other` and found by nobody.
 */
export const canonicalPhone = (raw: string): PhoneNumber => {
  if (raw.length > MAX_CHARS) return { raw, kind: 'other', canonical: null };
  if (/@anonymous\.invalid\b/i.test(raw)) return { raw, kind: 'withheld', canonical: null };
  const number = userPart(raw).normalize('NFKC');
  if (isWithheld(number)) return { raw, kind: 'withheld', canonical: null };
  if (SHORT.test(number.replace(/[ .-]/g, ''))) return { raw, kind: 'short', canonical: null };
  const canonical = e164Of(number);
  return { raw, kind: canonical === null ? 'other' : 'e164', canonical };
};

/** `"Anna" <sip:+46701740605;ext=1@host>` and its relatives, reduced to what was dialled. */
const userPart = (raw: string): string => {
  const inBrackets = /<([^<>]*)>/.exec(raw)?.[1] ?? raw;
  const withoutScheme = inBrackets.trim().replace(/^(?:sips?|tel|callto):/i, '');
  return decoded(withoutScheme.split(/[@;?:]/, 1)[0]!).trim();
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** No digit but zeros, which some switches send, and no other letters than one of the words. */
const isWithheld = (number: string): boolean =>
  !/\p{Nd}/u.test(number.replaceAll('0', '')) &&
  withheldWords.has(number.toLowerCase().replace(/[^\p{L}]/gu, ''));

const e164Of = (number: string): string | null => {
  const parsed = parse(number);
  // Superfluous zeros can leave a number that would be read otherwise next time: no spelling to be found by.
  return parsed !== null && parse(parsed) === parsed ? parsed : null;
};

const parse = (number: string): string | null => {
  // Possible, not valid: the plan of numbers grows faster than the library is updated.
  const parsed = parsePhoneNumberFromString(number, { defaultCountry: HOME, extract: false });
  return parsed?.isPossible() && E164.test(parsed.number) ? parsed.number : null;
};
