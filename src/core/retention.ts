/**
 * How long recordings are kept, and what may end it earlier.
 *
 * `journal`: part of the patient's record, at least ten years (Patientdatalagen 3:17), destroyed only on a decision
 * (8:4). `quality`: for follow-up, kept short. `complaint`: kept while a complaint may be made about the call; the
 * supervising authority looks two years back (Patientsäkerhetslagen 7:13).
 */
export const retentionClasses = ['journal', 'quality', 'complaint'] as const;
export type RetentionClass = (typeof retentionClasses)[number];

type Rule = {
  /** Days, where the organisation has decided nothing. */
  readonly days: number;
  /** Fewest and most days an organisation may decide. */
  readonly floor: number;
  readonly ceiling: number;
};

/** Ten years and the three leap days they may hold. */
const TEN_YEARS = 3653;
const HUNDRED_YEARS = 36_525;

export const retentionRules: Readonly<Record<RetentionClass, Rule>> = {
  journal: { days: TEN_YEARS, floor: TEN_YEARS, ceiling: HUNDRED_YEARS },
  quality: { days: 90, floor: 1, ceiling: TEN_YEARS },
  complaint: { days: 730, floor: 30, ceiling: HUNDRED_YEARS },
};

/** Days per class. */
export type RetentionPolicies = Readonly<Record<RetentionClass, number>>;

export const isRetentionClass = (value: unknown): value is RetentionClass =>
  (retentionClasses as readonly unknown[]).includes(value);

/**
 * An organisation's decisions as stored. A class it has not decided, or whose stored value is unreadable, has its
 * default; a value outside the rule is drawn to its nearest bound, so that no row can undercut the law.
 */
export const parsePolicies = (stored: unknown): RetentionPolicies => {
  const decided = typeof stored === 'object' && stored !== null ? (stored as Record<string, unknown>) : {};
  const daysOf = (name: RetentionClass): number => {
    const { days, floor, ceiling } = retentionRules[name];
    const value = Object.hasOwn(decided, name) ? decided[name] : days;
    return typeof value === 'number' && Number.isInteger(value)
      ? Math.min(Math.max(value, floor), ceiling)
      : days;
  };
  return { journal: daysOf('journal'), quality: daysOf('quality'), complaint: daysOf('complaint') };
};

const DAY_MS = 86_400_000;

/** When a recording is due for erasure. `from` and the result are milliseconds since 1970, UTC. */
export const eraseAfter = (recording: {
  readonly retentionClass: RetentionClass;
  /** Start of the call. */
  readonly from: number;
  readonly policies: RetentionPolicies;
}): number => recording.from + recording.policies[recording.retentionClass] * DAY_MS;

export type ErasureVerdict =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly code: 'held' | 'retention_floor'; readonly reason: string };

/**
 * Whether a recording may be erased now. A hold wins over everything. Of a journal document only a decision (its
 * reference, not blank) makes an end, however old it is; a complaint's recording needs one before its time is out.
 */
export const mayErase = (asked: {
  readonly retentionClass: RetentionClass;
  readonly holdCount: number;
  /** Milliseconds since 1970; null is never due. */
  readonly eraseAfter: number | null;
  readonly now: number;
  readonly decisionReference: string | null;
}): ErasureVerdict => {
  if (asked.holdCount !== 0)
    return refused('held', 'A hold is placed on this recording: it must not be erased.');
  if (asked.decisionReference?.trim()) return { allowed: true };
  const isDue = asked.eraseAfter !== null && asked.eraseAfter <= asked.now;
  switch (asked.retentionClass) {
    case 'quality':
      return { allowed: true };
    case 'complaint':
      return isDue
        ? { allowed: true }
        : refused(
            'retention_floor',
            'This recording is kept for complaints: before its time it is erased only with the reference of a decision.',
          );
    default:
      // `journal`, and any word a newer version may have written.
      return refused(
        'retention_floor',
        'This recording is part of a patient record: it is erased only with the reference of a decision.',
      );
  }
};

const refused = (code: 'held' | 'retention_floor', reason: string): ErasureVerdict => ({
  allowed: false,
  code,
  reason,
});
