import { FEWEST_CHARACTERS, unguessable } from './weak-secret.ts';

/** Length is what makes a password hard to guess; rules about kinds of characters make it worse (NIST SP 800-63B §3.1.1.2). */
export const MIN_PASSWORD = 12;
export const MAX_PASSWORD = 200;

const MIN_DIFFERENT_CHARACTERS = 5;
/** What a guesser does not try first must be this long, when what is said twice is counted once. */
const MIN_LEFT = 8;
/** A shorter part of a name or address counts where it stands alone: "se" is in many a word. */
const MIN_OWN_WORD = 3;

const spelt = (text: string): string => text.normalize('NFKC').toLowerCase();

/** Names and addresses whole, an address's two halves, and every part of them. */
const ownWords = (about: readonly string[]): string[] =>
  about
    .map(spelt)
    .flatMap((text) => [text, ...text.split('@'), ...text.split(/[^\p{L}\p{N}]+/u)])
    .filter((word) => word !== '')
    .sort((a, b) => b.length - a.length);

/** As people disguise words: P@ssw0rd. */
const DISGUISES: Readonly<Record<string, string>> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '1': 'i',
  '!': 'i',
  '0': 'o',
  '5': 's',
  $: 's',
};
const undisguised = (text: string): string => text.replace(/[@431!05$]/g, (sign) => DISGUISES[sign] ?? sign);

const withoutRepetitions = (text: string): string => text.replace(/(.{2,100}?)\1+|(.)\2{2,}/gsu, '$1$2');

const isGuessed = (password: string, own: readonly string[]): boolean => {
  const short = new Set(own.filter((word) => word.length < MIN_OWN_WORD));
  const long = own.filter((word) => word.length >= MIN_OWN_WORD);
  const rest = unguessable(password, long)
    .split(/(?<![\p{L}\p{N}])(?=[\p{L}\p{N}])|(?<=[\p{L}\p{N}])(?![\p{L}\p{N}])/u)
    .filter((part) => !short.has(part))
    .join('');
  return withoutRepetitions(rest).length < MIN_LEFT || new Set(rest).size < FEWEST_CHARACTERS;
};

/** What is wrong with a password that a person chose, or null. `about`: the person's names and e-mail address. */
export const passwordFault = (password: string, about: readonly string[]): string | null => {
  const length = [...password].length;
  if (length < MIN_PASSWORD) return `must have at least ${MIN_PASSWORD} characters`;
  if (password.length > MAX_PASSWORD) return `must have at most ${MAX_PASSWORD} characters`;
  if (new Set(password).size < MIN_DIFFERENT_CHARACTERS) return 'repeats too few characters';
  const own = ownWords(about);
  if ([spelt(password), undisguised(spelt(password))].some((text) => isGuessed(text, own)))
    return 'consists of your name, your address or what everybody tries first (well-known words, 1234, qwerty, the same twice): take several words of your own';
  return null;
};
