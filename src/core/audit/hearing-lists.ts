import type { AuditAction } from '../events.ts';

/**
 * What is told of an entry when somebody asks who heard a recording: that sound was given, that it was refused, that
 * something left the vault otherwise (which no player states anything about), that it is gone. The one place to name
 * another way out.
 */
export const hearingLists = {
  'playback.opened': 'opened',
  'playback.denied': 'refused',
  'recording.key_opened': 'takenOut',
  'recording.erased': 'erased',
} as const satisfies { readonly [A in AuditAction]?: 'opened' | 'refused' | 'takenOut' | 'erased' };

/** Entries that tell who heard a recording, or was refused it, or took it or its key out; and that it was erased. */
export const hearingActions = Object.keys(hearingLists) as readonly (keyof typeof hearingLists)[];

export const isTakenOut = (action: AuditAction): boolean =>
  hearingLists[action as keyof typeof hearingLists] === 'takenOut';
