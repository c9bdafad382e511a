/**
 * Everything the access log can say. Names are dotted, past tense and stable for ever: renaming is forbidden, adding is
 * free. Bodies hold ids, counts and closed words, never numbers, names, file names or free text from a telephone system.
 * docs/audit-log.md documents every action; a test compares the two.
 */
export const roles = [
  'source',
  'nurse',
  'compliance',
  'admin',
  'installation_admin',
  'installation_auditor',
] as const;
export type Role = (typeof roles)[number];

/** Why somebody hears or searches (Patientdatalagen 4:1). */
export const purposes = [
  'care',
  'quality',
  'complaint',
  'patient_request',
  'supervision',
  'technical',
] as const;
export type Purpose = (typeof purposes)[number];

export const outcomes = ['success', 'denied', 'failed'] as const;
export type Outcome = (typeof outcomes)[number];

export type Actor = {
  readonly type: 'user' | 'source' | 'operator' | 'system' | 'anonymous';
  readonly id: string | null;
  readonly role: Role | null;
};

/** What each action says besides the common fields. Add here, then in `eventScope`, then in docs/audit-log.md. */
export type EventDetails = {
  'installation.created': { readonly schema: number };
  'recording.stored': {
    readonly bytes: number;
    readonly sealedSha256: string;
    readonly envelopeSha256: string;
    readonly durationMs: number | null;
    readonly flags: readonly string[];
  };
  'recording.refused': { readonly reason: string; readonly bytes: number };
  'recording.abandoned': { readonly reason: 'client' | 'sweeper' };
  'recording.viewed': Record<never, never>;
  'recordings.searched': {
    readonly count: number;
    readonly results: readonly string[];
    readonly criteria: readonly string[];
    readonly indexVersion: number;
    readonly more: boolean;
  };
  'recording.erased': {
    readonly reason: string;
    /** The authority's decision by which a journal document was destroyed. */
    readonly decision: string | null;
    readonly tombstone: true;
  };
  'recording.erase_denied': { readonly reason: string };
  /** A recording that nobody could hear was given to a care unit; `before`: the disabled one that it had, if any. */
  'recording.assigned': { readonly unit: string; readonly before: string | null };
  /** What lies in the store was read back for the source that had delivered it; what did not open is an entry after this one. */
  'recording.verified': Record<never, never>;
  /** The report of an import: its digest and totals, as the source states them. */
  'import.reported': {
    readonly sha256: string;
    readonly files: number;
    readonly verified: number;
    readonly wiped: number;
    readonly exceptions: number;
  };
  /** A source said which calls there were; the calls themselves are not named. */
  'calls.announced': {
    readonly count: number;
    /** Of them that should have a recording. */
    readonly expected: number;
    /** Of them that were not kept, for they began too long ago. */
    readonly tooOld: number;
    readonly form: 'json' | 'csv';
  };
  'recording.key_opened': { readonly reason: 'disaster_recovery' };
  'recording.damaged': { readonly fault: string };
  'playback.opened': {
    readonly playback: string;
    readonly reason: string | null;
    readonly expiresAt: number;
  };
  'playback.denied': { readonly reason: string };
  'playback.heard': { readonly playback: string; readonly spans: readonly (readonly [number, number])[] };
  'hold.placed': { readonly hold: string; readonly reason: string };
  'hold.released': { readonly hold: string };
  'access.denied': { readonly route: string; readonly reason: string };
  'session.opened': { readonly method: 'password' | 'client_credentials' };
  'session.refused': {
    readonly prefix: string;
    readonly account: string | null;
    readonly count: number;
    readonly reason: string;
  };
  'session.closed': { readonly reason: 'logout' | 'reuse_detected' | 'disabled' | 'password_changed' };
  'organisation.changed': { readonly target: string; readonly change: string };
  'unit.changed': { readonly target: string; readonly change: string };
  'user.changed': { readonly target: string; readonly change: string };
  'source.changed': { readonly target: string; readonly change: string };
  'policy.changed': { readonly target: string; readonly change: string };
  'webhook.changed': { readonly target: string; readonly change: string };
  'key.rotated': { readonly purpose: string; readonly version: number };
  'log.read': { readonly count: number; readonly first: number | null; readonly last: number | null };
  'log.verified': { readonly size: number; readonly ok: boolean };
  'keys.exported': { readonly place: 'store' | 'folder'; readonly count: number; readonly sha256: string };
  'log.exported': {
    readonly format: string;
    /** By what kinds of criteria the entries were chosen; never the values. */
    readonly criteria: readonly string[];
    readonly count: number;
    readonly first: number | null;
    readonly last: number | null;
  };
  /** Bodies and salts of the entries [from, to) are removed, all of them older than `floor` years. */
  'log.pruned': { readonly from: number; readonly to: number; readonly floor: number };
  /**
   * The log goes on although it is not the one that was anchored: somebody restored a backup, or a replica took over.
   * Entries [lostFrom, lostTo) are gone, or others stand in their place. Roots in hex.
   */
  'log.epoch_opened': {
    readonly epoch: number;
    /** The newest checkpoint that is known from elsewhere. */
    readonly anchoredSize: number;
    readonly anchoredRoot: string;
    /** The log as it was found, which this entry follows. */
    readonly headSize: number;
    readonly headRoot: string;
    readonly lostFrom: number;
    readonly lostTo: number;
    readonly reason: string;
    /** The two people who answer for it. */
    readonly approvers: readonly string[];
  };
};

export type AuditAction = keyof EventDetails;

type EventBase = {
  /** Chosen by the caller before the append: the same event never enters the log twice. */
  readonly id: string;
  /** Milliseconds since 1970, UTC, by the vault's clock. */
  readonly at: number;
  readonly outcome: Outcome;
  readonly actor: Actor;
  readonly organisation: string | null;
  readonly unit: string | null;
  readonly recording: string | null;
  /** Pseudonymous key of the patient (blind index, versioned), or null when the caller is unknown. */
  readonly subject: string | null;
  readonly purpose: Purpose | null;
  readonly session: string | null;
  readonly request: string | null;
};

export type AuditEvent = {
  [A in AuditAction]: EventBase & { readonly action: A; readonly detail: EventDetails[A] };
}[AuditAction];

export type AuditEventOf<A extends AuditAction> = Extract<AuditEvent, { action: A }>;

/**
 * Who may read a body: `organisation` bodies are seen by the compliance officers of the organisation they name,
 * `installation` bodies by the installation's auditor only.
 */
export const eventScope: Record<AuditAction, 'organisation' | 'installation'> = {
  'installation.created': 'installation',
  'recording.stored': 'organisation',
  'recording.refused': 'organisation',
  'recording.abandoned': 'organisation',
  'recording.viewed': 'organisation',
  'recordings.searched': 'organisation',
  'recording.erased': 'organisation',
  'recording.erase_denied': 'organisation',
  'recording.assigned': 'organisation',
  'recording.verified': 'organisation',
  'import.reported': 'organisation',
  'calls.announced': 'organisation',
  'recording.key_opened': 'organisation',
  'recording.damaged': 'organisation',
  'playback.opened': 'organisation',
  'playback.denied': 'organisation',
  'playback.heard': 'organisation',
  'hold.placed': 'organisation',
  'hold.released': 'organisation',
  'access.denied': 'organisation',
  'session.opened': 'organisation',
  'session.refused': 'installation',
  'session.closed': 'organisation',
  'organisation.changed': 'installation',
  'unit.changed': 'organisation',
  'user.changed': 'organisation',
  'source.changed': 'organisation',
  'policy.changed': 'organisation',
  'webhook.changed': 'organisation',
  'key.rotated': 'installation',
  'log.read': 'organisation',
  'log.verified': 'installation',
  'keys.exported': 'installation',
  'log.exported': 'organisation',
  'log.pruned': 'installation',
  'log.epoch_opened': 'installation',
};

/** The recordings whose sealed content a receipt for this event opens: the one it names, or the results of a search. */
export const recordingsCovered = (event: AuditEvent): readonly string[] => {
  if (event.outcome !== 'success') return [];
  if (event.action === 'recordings.searched') return event.detail.results;
  return event.recording === null ? [] : [event.recording];
};
