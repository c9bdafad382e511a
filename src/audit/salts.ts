import { SALT_BYTES } from '../core/audit/commitment.ts';

/** A call to the system's generator costs as much as everything else about an entry; one in this many makes it. */
const DRAWN_AT_ONCE = 128;

/** Fresh salts, each handed out once. */
export const createSalts = (randomBytes: (bytes: number) => Buffer): (() => Buffer) => {
  let drawn: Buffer = Buffer.alloc(0);
  return () => {
    if (drawn.length === 0) drawn = randomBytes(DRAWN_AT_ONCE * SALT_BYTES);
    const salt = drawn.subarray(0, SALT_BYTES);
    drawn = drawn.subarray(SALT_BYTES);
    return salt;
  };
};
