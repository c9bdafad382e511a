import { randomBytes } from 'node:crypto';

// 32 characters nobody confuses when reading them aloud: 5 bits each.
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
const GROUPS = 5;
const GROUP = 5;

/** 125 random bits in groups of five characters, to be told to one person once. */
export const newInitialPassword = (): string =>
  Array.from({ length: GROUPS }, () =>
    Array.from(randomBytes(GROUP), (byte) => ALPHABET[byte % ALPHABET.length]).join(''),
  ).join('-');
