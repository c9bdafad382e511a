import { type AuditAction, eventScope } from '../core/events.ts';

/** The actions that the indexes of the log name; a test compares them with the migration, which cannot read them here. */

/** Happen all day, and are found along the organisation's own index; the others have one by action. */
export const usualActions: readonly AuditAction[] = [
  'recording.stored',
  'recording.viewed',
  'recordings.searched',
  'playback.opened',
  'playback.heard',
];

/** Seen by the installation's auditor only; they have an index of their own, with the entries of no organisation. */
export const installationActions: readonly AuditAction[] = (Object.keys(eventScope) as AuditAction[]).filter(
  (action) => eventScope[action] === 'installation',
);
