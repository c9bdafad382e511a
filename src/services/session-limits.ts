/** Without a refresh for this long a person is signed out (45 CFR 164.312(a)(2)(iii), automatic logoff). */
export const IDLE_MS = 30 * 60_000;
/** A working day's length: afterwards the password is asked for again. */
export const LIFETIME_MS = 12 * 3_600_000;
/** Access tokens live this long unless configured otherwise; a source's session lives no longer than its token. */
export const TOKEN_SECONDS = 300;
/** A replaced cookie value presented within this time is a second tab or a lost answer, later it is a theft. */
export const ROTATION_GRACE_MS = 10_000;
/** A place from which an account signed in this recently is one of its own. */
export const KNOWN_PLACE_MS = 90 * 86_400_000;
/** A source's sessions are of no use once they have expired; a day is for whoever looks into an incident. */
export const SOURCE_SESSION_KEPT_MS = 86_400_000;

/** A session as tokens are made from it. */
export type OpenedSession = {
  readonly id: string;
  /** User or source. */
  readonly subject: string;
  readonly expiresAt: Date;
};
