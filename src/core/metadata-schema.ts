import { Type } from 'typebox';
import { retentionClasses } from './retention.ts';

/** Who is heard on a channel. */
export const parties = ['caller', 'agent', 'other', 'mixed'] as const;
export type Party = (typeof parties)[number];

export const directions = ['inbound', 'outbound', 'internal'] as const;
export type Direction = (typeof directions)[number];

/** On what ground the call is recorded: GDPR article 6(1), letters a to f. */
export const legalBases = [
  'consent',
  'contract',
  'legal_obligation',
  'vital_interests',
  'public_task',
  'legitimate_interests',
] as const;
export type LegalBasis = (typeof legalBases)[number];

const MAX_PAUSES = 500;
const MAX_CHANNELS = 8;
/** Two days: longer than any call, so a pause beyond it is a slip of units. */
const MAX_CALL_MS = 172_800_000;

// Each description completes the sentence "callId …": it is the fault of a field that is not so, and its documentation.
const text = (maxLength: number) =>
  Type.String({
    minLength: 1,
    maxLength,
    pattern: '^[^\\p{Cc}]+$',
    description: `must be text of 1 to ${maxLength} characters without control characters`,
  });
const number = (maxLength: number, description: string) => Type.String({ maxLength, description });
const word = <W extends string>(words: readonly W[]) =>
  Type.Enum([...words], { description: `must be one of ${words.join(', ')}` });
const instant = Type.String({
  format: 'date-time',
  maxLength: 40,
  description:
    'must be a time with offset as in RFC 3339, such as 2026-03-01T08:15:30+01:00, from 1970 to 2199',
});
const milliseconds = Type.Integer({ minimum: 0, maximum: MAX_CALL_MS });

/** What a source says about a call. Only `callId` is required; the source's settings fill in what governs it. */
export const CallMetadataSchema = Type.Object(
  {
    callId: text(256),
    // Where one call id may come with several files, as from a folder: the digest of the content, for instance.
    deliveryId: Type.Optional(text(256)),
    segment: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 9999, description: 'must be a whole number from 0 to 9999' }),
    ),
    careUnit: Type.Optional(text(200)),
    startedAt: Type.Optional(instant),
    endedAt: Type.Optional(instant),
    direction: Type.Optional(word(directions)),
    callerNumber: Type.Optional(
      number(128, 'must be a number as text of at most 128 characters; empty when withheld'),
    ),
    calledNumber: Type.Optional(number(128, 'must be a number as text of at most 128 characters')),
    agentId: Type.Optional(text(256)),
    queue: Type.Optional(text(256)),
    personalNumber: Type.Optional(number(32, 'must be a Swedish personal identity number as text')),
    channels: Type.Optional(
      Type.Record(Type.String({ pattern: `^[0-${MAX_CHANNELS - 1}]$` }), word(parties), {
        additionalProperties: false,
        minProperties: 1,
        description: `must map channel numbers 0 to ${MAX_CHANNELS - 1} to ${parties.join(', ')}`,
      }),
    ),
    pauses: Type.Optional(
      Type.Array(Type.Array(milliseconds, { minItems: 2, maxItems: 2 }), {
        maxItems: MAX_PAUSES,
        description: `must be at most ${MAX_PAUSES} pairs [from, to] in milliseconds from the start of the recording`,
      }),
    ),
    originalName: Type.Optional(
      Type.String({ minLength: 1, maxLength: 255, description: 'must be text of 1 to 255 characters' }),
    ),
    announcement: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z][A-Za-z0-9._-]{0,63}$',
        description: 'must name a version of the announcement: letters, digits, . _ -, no long numbers',
      }),
    ),
    retentionClass: Type.Optional(word(retentionClasses)),
    legalBasis: Type.Optional(word(legalBases)),
  },
  { additionalProperties: false },
);
