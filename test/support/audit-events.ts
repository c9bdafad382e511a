import type { AuditAction, AuditEvent, AuditEventOf, EventDetails } from '../../src/core/events.ts';
import { newEventId } from '../../src/services/new-event-id.ts';

/** Ids that stay the same from run to run: `…0001` and so on. */
export const fixedId = (number: number): string =>
  `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

const digest = (digit: string): string => digit.repeat(64);

/** One detail of every action; an action without one does not compile. */
const details: { readonly [A in AuditAction]: EventDetails[A] } = {
  'installation.created': { schema: 1 },
  'recording.stored': {
    bytes: 3_600_044,
    sealedSha256: digest('a'),
    envelopeSha256: digest('b'),
    durationMs: 225_000.5,
    flags: ['truncated'],
  },
  'recording.refused': { reason: 'executable', bytes: 17 },
  'recording.abandoned': { reason: 'sweeper' },
  'recording.viewed': {},
  'recordings.searched': {
    count: 2,
    results: [fixedId(11), fixedId(12)],
    criteria: ['caller', 'from'],
    indexVersion: 1,
    more: false,
  },
  'recording.erased': { reason: 'patient_request', decision: 'IVO 8.1.2-1/2026', tombstone: true },
  'recording.erase_denied': { reason: 'held' },
  'recording.key_opened': { reason: 'disaster_recovery' },
  'recording.damaged': { fault: 'segment 3 does not open' },
  'playback.opened': { playback: fixedId(13), reason: null, expiresAt: 1_763_719_500_000 },
  'playback.denied': { reason: 'blocked' },
  'playback.heard': {
    playback: fixedId(13),
    spans: [
      [0, 12.5],
      [30, 31],
    ],
  },
  'hold.placed': { hold: fixedId(14), reason: 'complaint' },
  'hold.released': { hold: fixedId(14) },
  'access.denied': { route: '/v1/recordings/:id', reason: 'role' },
  'session.opened': { method: 'password' },
  'session.refused': { prefix: '192.0.2.0/24', account: null, count: 3, reason: 'credentials' },
  'session.closed': { reason: 'logout' },
  'organisation.changed': { target: fixedId(2), change: 'created' },
  'unit.changed': { target: fixedId(3), change: 'created' },
  'user.changed': { target: fixedId(4), change: 'disabled' },
  'source.changed': { target: fixedId(5), change: 'created' },
  'policy.changed': { target: 'retention', change: 'class standard: 10 years' },
  'key.rotated': { purpose: 'organisation', version: 2 },
  'log.read': { count: 50, first: 1, last: 50 },
  'log.verified': { size: 1000, ok: true },
  'keys.exported': { place: 'store', count: 1000, sha256: digest('c') },
  'log.exported': { format: 'csv', criteria: ['actor', 'from'], count: 50, first: 1, last: 50 },
  'log.pruned': { from: 0, to: 1_048_576, floor: 5 },
  'log.epoch_opened': {
    epoch: 2,
    anchoredSize: 1200,
    anchoredRoot: digest('d'),
    headSize: 1100,
    headRoot: digest('e'),
    lostFrom: 1100,
    lostTo: 1200,
    reason: 'Restored from the backup of the night',
    approvers: [fixedId(21), fixedId(22)],
  },
  'recording.assigned': { unit: fixedId(3), before: null },
  'recording.verified': {},
  'import.reported': { sha256: digest('f'), files: 1000, verified: 990, wiped: 0, exceptions: 10 },
  'calls.announced': { count: 1000, expected: 900, tooOld: 10, form: 'csv' },
  'webhook.changed': { target: fixedId(6), change: 'created' },
};

export const everyAction = Object.keys(details) as AuditAction[];

/** Those that may stand anywhere in a log; a verifier compares an epoch with what lies before it. */
export const ordinaryActions = everyAction.filter((action) => action !== 'log.epoch_opened');

/** An event of this action with fixed ids; what differs is given. */
export const fixedEvent = <A extends AuditAction>(
  action: A,
  differing: Partial<AuditEventOf<A>> = {},
): AuditEventOf<A> =>
  ({
    id: fixedId(1),
    at: 1_763_719_200_000,
    action,
    outcome: 'success',
    actor: { type: 'user', id: fixedId(4), role: 'nurse' },
    organisation: fixedId(2),
    unit: fixedId(3),
    recording: fixedId(10),
    subject: 'v1.c3ViamVjdA',
    purpose: 'care',
    session: fixedId(6),
    request: 'req-1',
    detail: details[action],
    ...differing,
  }) as unknown as AuditEventOf<A>;

type Differing = Partial<Omit<AuditEvent, 'action' | 'detail'>> & {
  readonly action?: AuditAction;
  readonly detail?: object;
};

/** An event nobody has appended yet. */
export const freshEvent = ({ action = 'playback.opened', ...differing }: Differing = {}): AuditEvent =>
  fixedEvent(action, { id: newEventId(Date.now()), ...differing } as never);
