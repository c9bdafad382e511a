import { type AuditEvent, eventScope } from '../core/events.ts';
import type { Audience } from './reader.ts';

/** Whether a body may be shown to these readers: the rule of search.ts, over the body itself instead of its columns. */
export const isFor = (
  audience: Audience,
  { organisation, action }: Pick<AuditEvent, 'organisation' | 'action'>,
): boolean =>
  audience.scope === 'installation'
    ? organisation === null || eventScope[action] === 'installation'
    : organisation === audience.organisation && eventScope[action] === 'organisation';
