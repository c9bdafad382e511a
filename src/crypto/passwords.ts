import { randomBytes } from 'node:crypto';
import argon2 from 'argon2';
import { AppError } from '../core/errors.ts';
import { createSlots } from './slots.ts';

/**
 * OWASP Password Storage Cheat Sheet: Argon2id with 46 MiB, one pass, one lane; as strong as its 19 MiB with two passes. From
 * 32 MiB on glibc gives memory back to the system when it is freed; below, every thread would keep its share for good.
 */
const COST = { type: argon2.argon2id, memoryCost: 47_104, timeCost: 1, parallelism: 1 } as const;
const HASH = /^\$argon2id\$v=19\$((?:[mtp]=\d{1,7},?){3})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{43,86}$/;
/** A stored hash may not make the process allocate (KiB) or compute (passes, lanes) more than this. */
const MOST = { m: 262_144, t: 10, p: 4 } as const;
const MAX_PASSWORD_BYTES = 1024;

export type PasswordsOptions = {
  /** Hashes computed at once, 46 MiB and one thread of libuv's four each; file access needs the others. */
  readonly concurrency?: number;
  /** Callers that may wait for their turn; the next one is turned away. */
  readonly waiting?: number;
};

export type PasswordVerdict = {
  readonly ok: boolean;
  /** The password was right and its hash is of an older cost: hash it anew and store that. */
  readonly outdated: boolean;
};

export type Passwords = {
  /** A PHC string. Throws RangeError for a password of more than 1,024 bytes, `rate_limited` when too many wait. */
  readonly hash: (password: string) => Promise<string>;
  /**
   * Compares with a stored hash; null stands for a user who does not exist and costs the same, so that time does not tell
   * the two apart. `password` is attacker-controlled. Throws `rate_limited` when too many wait, `integrity_failure` for a
   * stored hash that this vault cannot have written.
   */
  readonly verify: (stored: string | null, password: string) => Promise<PasswordVerdict>;
};

/** One normal form, so that the same password typed on two systems is the same bytes (RFC 8265 §4.2). */
const bytesOf = (password: string): Buffer | null => {
  if (password.length > MAX_PASSWORD_BYTES) return null;
  const bytes = Buffer.from(password.normalize('NFC'), 'utf8');
  return bytes.length > MAX_PASSWORD_BYTES ? null : bytes;
};

/** `stored` comes from the database: what it asks of memory and time is bounded before it is computed. */
const assertOurs = (stored: string): void => {
  const cost = new Map(
    (HASH.exec(stored)?.[1] ?? '').split(',').map((pair) => [pair[0], Number(pair.slice(2))]),
  );
  const within = (name: keyof typeof MOST): boolean => (cost.get(name) ?? Number.NaN) <= MOST[name];
  if (!within('m') || !within('t') || !within('p'))
    throw new AppError('integrity_failure', 'A stored password hash is not one of this vault.');
};

export const createPasswords = async (options: PasswordsOptions = {}): Promise<Passwords> => {
  const { concurrency = 2, waiting = 64 } = options;
  const slots = createSlots({ concurrency, waiting });
  const nobody = await argon2.hash(randomBytes(32), COST);
  return {
    hash: async (password) => {
      const bytes = bytesOf(password);
      if (bytes === null) throw new RangeError('the password is too long');
      return slots.run(() => argon2.hash(bytes, COST));
    },
    verify: async (stored, password) => {
      const bytes = bytesOf(password);
      if (stored !== null) assertOurs(stored);
      const known = stored !== null && bytes !== null;
      const same = await slots.run(() => argon2.verify(known ? stored : nobody, bytes ?? Buffer.alloc(0)));
      const ok = known && same;
      return { ok, outdated: ok && argon2.needsRehash(stored, COST) };
    },
  };
};
