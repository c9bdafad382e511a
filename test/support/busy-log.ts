import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { encodeEvent } from '../../src/core/audit/entry.ts';
import type { AuditAction, AuditEvent, Outcome, Purpose } from '../../src/core/events.ts';
import { fixedId, freshEvent } from './audit-events.ts';

/** Ids of the busy log, by kind and number. */
export const actorOf = (n: number): string => fixedId(10_000 + n);
export const recordingOf = (n: number): string => fixedId(20_000 + n);
export const unitOf = (n: number): string => fixedId(40_000 + n);
export const subjectOf = (n: number): string => `1:${n.toString(16).padStart(32, '0')}`;

export const busyOrganisation = fixedId(2);
/** Nearly all that happens in it is that calls are delivered. */
export const archiveOrganisation = fixedId(222);
export const BUSY_START = 1_763_719_200_000;

const usual: readonly AuditAction[] = [
  'recordings.searched',
  'recording.viewed',
  'playback.opened',
  'playback.heard',
  'recording.stored',
];
const rare: readonly AuditAction[] = ['hold.placed', 'recording.erased', 'log.read', 'user.changed'];

/** One entry in a second: what happens all day, and now and then something else. */
export const busyEvent = (i: number): AuditEvent => {
  const odd = i % 97 === 0;
  const action = odd ? rare[(i / 97) % rare.length]! : usual[i % usual.length]!;
  const outcome: Outcome = i % 211 === 0 ? 'denied' : 'success';
  const purpose: Purpose = i % 53 === 0 ? 'quality' : 'care';
  return freshEvent({
    action,
    at: BUSY_START + i * 1000,
    outcome,
    organisation: i % 10 === 9 ? archiveOrganisation : busyOrganisation,
    actor: { type: 'user', id: actorOf(i % 199), role: 'nurse' },
    recording: recordingOf(i % 4999),
    subject: subjectOf(i % 2999),
    unit: unitOf(i % 101),
    purpose,
  });
};

/** Appends `count` entries by the log's own function, a thousand at a time, and lets the planner know them. */
export const fillBusyLog = async (
  superuser: pg.ClientBase,
  count: number,
  eventAt: (i: number) => AuditEvent = busyEvent,
): Promise<void> => {
  for (let from = 0; from < count; from += 1000) {
    const bodies = Array.from(
      { length: Math.min(1000, count - from) },
      (_, i) => encodeEvent(eventAt(from + i)).body,
    );
    const salts = bodies.map(() => randomBytes(32));
    await superuser.query('SELECT FROM audit.append($1, $2, $3, $4)', ['busy', from, salts, bodies]);
  }
  await superuser.query('ANALYZE audit.entry; ANALYZE audit.leaf');
};
