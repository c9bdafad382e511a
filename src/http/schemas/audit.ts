import { Type } from 'typebox';
import { type AuditAction, eventScope, outcomes, purposes } from '../../core/events.ts';
import { Closed, Cursor, Instant, Nullable, Uuid } from './common.ts';

const actionNames = Object.keys(eventScope) as AuditAction[];

export const LogQuerySchema = Closed({
  actor: Type.Optional(Uuid),
  recording: Type.Optional(Uuid),
  subject: Type.Optional(
    Type.String({
      maxLength: 60,
      pattern: '^[0-9]{1,9}:[0-9a-f]{32}$',
      description: 'pseudonymous key, as entries name it',
    }),
  ),
  action: Type.Optional(Type.Enum(actionNames)),
  outcome: Type.Optional(Type.Enum([...outcomes])),
  unit: Type.Optional(Uuid),
  purpose: Type.Optional(Type.Enum([...purposes])),
  session: Type.Optional(Uuid),
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  cursor: Type.Optional(Cursor),
});

const Word = Type.String({ maxLength: 200 });

export const LogEntrySchema = Closed({
  seq: Type.Integer({ description: 'place in the log, from 0, without gaps' }),
  id: Uuid,
  at: Instant,
  action: Word,
  outcome: Word,
  actor: Closed({ type: Word, id: Nullable(Word), role: Nullable(Word) }),
  organisation: Nullable(Word),
  unit: Nullable(Word),
  recording: Nullable(Word),
  subject: Nullable(Word),
  purpose: Nullable(Word),
  session: Nullable(Word),
  request: Nullable(Word),
  detail: Type.Record(Type.String(), Type.Unknown(), {
    description: 'fields of the action, docs/audit-log.md',
  }),
});

export const LogPageSchema = Closed({ entries: Type.Array(LogEntrySchema), next: Nullable(Cursor) });
export const SeqParams = Closed({ seq: Type.String({ pattern: '^[0-9]{1,15}$', maxLength: 15 }) });
