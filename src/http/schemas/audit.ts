import { Type } from 'typebox';
import { type AuditAction, eventScope, outcomes, purposes } from '../../core/events.ts';
import { formats } from '../answer-format.ts';
import { Closed, Cursor, Instant, Nullable, Uuid } from './common.ts';

const actionNames = Object.keys(eventScope) as AuditAction[];

const Format = Type.Enum([...formats], { description: 'of the answer; without it `Accept` decides' });
// No default, which would look like a limit that somebody set, and a file has none.
const Limit = { minimum: 1, maximum: 200, description: 'of a page; 50 when absent' } as const;

export const LogQuerySchema = Closed({
  actor: Type.Optional(Uuid),
  recording: Type.Optional(Uuid),
  callerNumber: Type.Optional(
    Type.String({ minLength: 1, maxLength: 64, description: 'of a patient; instead of `subject`' }),
  ),
  personalNumber: Type.Optional(
    Type.String({ minLength: 1, maxLength: 32, description: 'of a patient; instead of `subject`' }),
  ),
  subject: Type.Optional(
    Type.String({
      maxLength: 60,
      pattern: '^[0-9]{1,9}:[0-9a-f]{32}$',
      description: 'pseudonymous key, as entries name it',
    }),
  ),
  action: Type.Optional(Type.Enum(actionNames)),
  actions: Type.Optional(
    Type.Array(Type.Enum(actionNames), {
      minItems: 1,
      maxItems: actionNames.length,
      uniqueItems: true,
      description: 'any of these',
    }),
  ),
  outcome: Type.Optional(Type.Enum([...outcomes])),
  unit: Type.Optional(Uuid),
  purpose: Type.Optional(Type.Enum([...purposes])),
  session: Type.Optional(Uuid),
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
  limit: Type.Optional(Type.Integer(Limit)),
  cursor: Type.Optional(Cursor),
  format: Type.Optional(Format),
});

/** In an address a number is text. */
const LimitText = Type.String({
  pattern: '^([1-9][0-9]?|1[0-9]{2}|200)$',
  maxLength: 3,
  description: '1 to 200; 50 when absent',
});
const page = {
  limit: Type.Optional(LimitText),
  cursor: Type.Optional(Cursor),
  format: Type.Optional(Format),
};
const period = { from: Type.Optional(Instant), to: Type.Optional(Instant) };
export const HearersQuery = Closed({ ...period, ...page });
export const ActivityQuery = Closed({ ...period, ...page });

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

const Heard = Closed({
  statements: Type.Integer({ description: 'how many times the player stated something' }),
  parts: Type.Array(Type.Array(Type.Number()), {
    description: '[from, to] in milliseconds of the recording, merged and in order; the first 1000',
  }),
  partCount: Type.Integer(),
});

const happened = {
  seq: Type.Integer(),
  at: Instant,
  actor: LogEntrySchema.properties.actor,
  unit: Nullable(Word),
  purpose: Nullable(Word),
  session: Nullable(Word),
};

export const HearersSchema = Closed({
  recording: Uuid,
  opened: Type.Array(
    Closed({
      ...happened,
      playback: Uuid,
      reason: Nullable(Word),
      expiresAt: Instant,
      heard: Nullable(Heard),
    }),
    { description: 'who was given the sound, and what her player stated was heard: the client’s statement' },
  ),
  refused: Type.Array(Closed({ ...happened, reason: Nullable(Word) })),
  takenOut: Type.Array(Closed({ ...happened, action: Word }), {
    description: 'what left the vault otherwise: copies, or the key of this recording',
  }),
  erased: Type.Array(Closed({ ...happened })),
  heardComplete: Type.Boolean({
    description: 'false: players stated more than 10 000 times; `heard` may lack some',
  }),
  next: Nullable(Cursor),
});

export const ActivitySchema = Closed({
  actor: Uuid,
  counts: Nullable(
    Type.Array(Closed({ action: Word, outcome: Word, count: Type.Integer() }), {
      description: 'on the first page; by action and outcome, of the whole period',
    }),
  ),
  countsComplete: Nullable(
    Type.Boolean({ description: 'false: only the newest 3 000 entries were counted' }),
  ),
  entries: Type.Array(LogEntrySchema),
  next: Nullable(Cursor),
});
export const SeqParams = Closed({ seq: Type.String({ pattern: '^(0|[1-9][0-9]{0,14})$', maxLength: 15 }) });
