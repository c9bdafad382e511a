/** Without a refresh for this long a person is signed out (45 CFR 164.312(a)(2)(iii), automatic logoff). */
export const IDLE_MS = 30 * 60_000;
/** A replaced cookie value presented within this time is a second tab or a lost answer, later it is a theft. */
export const ROTATION_GRACE_MS = 10_000;
/** A place from which an account signed in this recently is one of its own. */
export const KNOWN_PLACE_MS = 90 * 86_400_000;
/** A source's sessions are of no use once they have expired; a day is for whoever looks into an incident. */
export const SOURCE_SESSION_KEPT_MS = 86_400_000;

/** What the operator decides (SESSION_HOURS, ACCESS_TOKEN_SECONDS), in milliseconds. */
export type SessionLifetimes = {
  /** A person's session with all its refreshes: afterwards the password is asked for again. */
  readonly userMs: number;
  /** A source's session, which lives no longer than its one token. */
  readonly sourceMs: number;
};

/** A session as tokens are made from it. */
export type OpenedSession = {
  readonly id: string;
  /** User or source. */
  readonly subject: string;
  readonly expiresAt: Date;
};
