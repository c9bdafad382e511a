/** What is not seen: zero-width and other format characters, variation selectors, marks set upon a digit. */
const UNSEEN = /[\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}]/gu;
/** The text as the eye counts its digits. */
const seen = (text: string): string => text.normalize('NFKC').replace(UNSEEN, '');

/** Six digits in a row, of any script, in any compatibility form (full-width, superscript). */
const SIX_DIGITS = /\p{Nd}{6}/u;
/** A number written to be dialled: 070-174 06 05, +46 (8) 465-004-01, 070/174|06:05. Not the tail of a date: 2026-01-05-10-30. */
const DIALLED = /(?:\+|(?<!\p{Nd}[\s._()[\]\p{Pd},:;/|\\]{0,2})0)(?:[\s._()[\]\p{Pd},:;/|\\]{0,2}\p{Nd}){7}/u;
/** Behind a file number: 0123/2026. */
const YEAR_OF_A_FILE = /\/20\p{Nd}{2}(?![\s._()[\]\p{Pd},:;/|\\]{0,2}\p{Nd})/gu;

/**
 * Whether a text that will be seen by strangers (a path, a word in the log, a problem's detail) may hold a telephone or
 * identity number. Errs towards yes. The text is attacker-controlled; both patterns are linear.
 */
export const mayHoldNumber = (text: string): boolean => {
  const plain = seen(text);
  return SIX_DIGITS.test(plain) || DIALLED.test(plain.replace(YEAR_OF_A_FILE, ''));
};

/** A whole UUID, or a hex digest of MD5, SHA-1 or SHA-256, that is not decimal throughout: that would be a number in disguise. */
const OPAQUE_TOKEN =
  /(?![\d-]{36}|\d{32})(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<!\d)(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})(?![0-9a-f]))/gi;
/** An id of 64 or 96 bits (MongoDB's, a trace's): the same digits, where nothing but a separator stands beside them. */
const SHORT_ID = /(?<![\p{L}\p{Nd}])(?:[0-9a-f]{16}|[0-9a-f]{24})(?![\p{L}\p{Nd}])/giu;
/**
 * A telephone number (070 174 06 05, 46 70 …, 0046 …) or a personal identity or coordination number of ten digits or twelve,
 * whose check digit may be mistyped, at the one end or at the other.
 */
const BORN = String.raw`\d\d(?:0[1-9]|1[0-2])(?:[06][1-9]|[1278]\d|[39][01])\d{4}`;
const STARTS_WITH_NUMBER = new RegExp(String.raw`^(?:0+[1-9]\d{7}|46[1-9]\d{7}|(?:19|20)?${BORN})`);
const ENDS_WITH_NUMBER = new RegExp(String.raw`(?:0[1-9]\d{7,8}|46[1-9]\d{7,8}|${BORN})$`);

/** A number with hex letters put before or behind it: what random digits hardly ever look like. */
const allDigitsTogether = (token: string): boolean => /^[a-f]*\d{6,}[a-f]*$/i.test(token);

/** As {@link allDigitsTogether}, or one end is a number and the rest is random: 0701740605a1b2c3. */
const isDressedNumber = (token: string): boolean =>
  allDigitsTogether(token) || STARTS_WITH_NUMBER.test(token) || ENDS_WITH_NUMBER.test(token);

/** A day of this century, alone or with a time of day: 2026-01-05, 2026-01-05_10-30-59. Not an identity number written alike. */
const DATE =
  /(?<!\p{Nd})20\d\d([-_.])(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?:[-_.T ][01]\d([-_.:])[0-5]\d(?:\2[0-5]\d)?|[-_.T ]2[0-3]([-_.:])[0-5]\d(?:\3[0-5]\d)?)?(?!\p{Nd}|[-+_. ]{1,3}\p{Nd}{4})/gu;
/** Six digits, whatever that is no letter stands between them: 4 67 (200)-99.9. */
const SIX_TOGETHER = /(?:\p{Nd}[^\p{L}\p{Nd}]{0,8}){5}\p{Nd}/u;

/**
 * The same of a name in an address, where more digits are under suspicion and random ones are not: UUIDs and hex digests are
 * taken out before digits are looked for, so that names of one shape are not refused by chance. Of ids of 16 and 24 hex
 * digits one in some hundred has what could be a number at one end, and is refused: so few bits cannot be told apart from it.
 */
export const nameMayHoldNumber = (name: string): boolean =>
  SIX_TOGETHER.test(
    seen(name)
      .replace(OPAQUE_TOKEN, (token) => (allDigitsTogether(token) ? token : 'x'))
      .replace(SHORT_ID, (token) => (isDressedNumber(token) ? token : 'x'))
      .replace(DATE, 'x'),
  );

const GAP = String.raw`[^\p{L}\p{Nd}]`;
const MONTH = '(?:0?[1-9]|1[0-2])';
const DAY = String.raw`(?:0?[1-9]|[12]\d|3[01])`;
const TIME = String.raw`(?:[01]?\d|2[0-3]):[0-5]\d`;
const ALONE = { before: String.raw`(?<!\p{Nd}${GAP}{0,8})`, after: String.raw`(?!${GAP}{0,8}\p{Nd})` };
/** A time (10:15, 10:15:30), or from when to when without seconds, in which a telephone number would find room. */
const TIMES = String.raw`${TIME}(?::[0-5]\d|${GAP}{1,3}${TIME})?`;
/** 2026-01-05, or a few of them. */
const ISO_DAY = String.raw`20\d\d([-_./])${MONTH}\1${DAY}`;
const ISO_DAYS = String.raw`(?<!\p{Nd})${ISO_DAY}(?:${GAP}{1,3}20\d\d\1${MONTH}\1${DAY}){0,3}`;
/** 5/1, 05/01/26, 5/1 2026, 5.1.2026. */
const WRITTEN_DAY = String.raw`${DAY}([/.])${MONTH}(?:[/. -]{1,2}(?:20)?[0-4]\d|-${DAY}\2${MONTH})?`;
/**
 * When something was, with its time. Four digits behind a day make it an identity number; any digit beside a time, or a day
 * that could be a telephone number's, may make it one.
 */
const MOMENT = new RegExp(
  [
    String.raw`${ISO_DAYS}(?:(?:T|${GAP}{1,3})${TIMES})?(?!\p{Nd}|(?:${GAP}{0,8}\p{Nd}){4})`,
    `${ALONE.before}${WRITTEN_DAY}(?:${GAP}{1,3}${TIMES})?${ALONE.after}`,
    `${ALONE.before}${TIMES}${ALONE.after}`,
  ].join('|'),
  'gu',
);

/**
 * The same of a sentence that a person wrote for the access log. Day and time of a call may be named (2026-01-05, 10:15); a
 * number that is written in groups, whatever that is no letter stands between them, counts like one that is not.
 */
export const noteMayHoldNumber = (text: string): boolean =>
  SIX_TOGETHER.test(seen(text).replace(MOMENT, ' '));

/** Whether a text has characters that are not seen, line ends and tabs aside: they hide what it says from whoever reads it. */
export const hasUnseen = (text: string): boolean => /\p{Cf}|(?![\t\n\r])\p{Cc}/u.test(text);

/** A name short and plain enough to be repeated to whoever sent it. */
const IDENTIFIER = /^[A-Za-z][A-Za-z0-9_-]{0,40}$/;

/** The name of a field as it may appear in an answer; null when it could itself be what must not be shown. */
export const showableName = (name: string): string | null =>
  IDENTIFIER.test(name) && !mayHoldNumber(name) ? name : null;
