import { randomUUID } from 'node:crypto';

const TIME_DIGITS = 12;
/** Where the last 76 bits of a UUID begin, behind its version. */
const RANDOM_FROM = 15;

/**
 * A UUID of version 7 (RFC 9562): the milliseconds since 1970, then 74 random bits. Ids of entries are unique in the log for
 * ever; in the order of their time the newest lie together in that index, and an append touches its end alone instead of a page
 * somewhere for each entry (docs/decisions/0025). They open nothing and need not be secret.
 */
export const newEventId = (at: number): string => {
  const time = Math.max(0, Math.floor(at)).toString(16).padStart(TIME_DIGITS, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(RANDOM_FROM)}`;
};
