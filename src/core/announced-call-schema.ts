import { Type } from 'typebox';
import { CallMetadataSchema, directions } from './metadata-schema.ts';

/** Why a call has no recording, and rightly so. Closed words: whoever reads a list of calls sees no text of a telephone system. */
export const unrecordedReasons = [
  'not_answered',
  'caller_declined',
  'not_agreed',
  'internal',
  'test',
  'other',
] as const;
export type UnrecordedReason = (typeof unrecordedReasons)[number];

/** Two days: longer than any call. */
export const MAX_EXPECTED_MS = 172_800_000;
/** Calls of one request in JSON. */
export const MAX_ANNOUNCED = 1000;

const { callId, callerNumber, calledNumber, startedAt, endedAt } = CallMetadataSchema.properties;
const word = <W extends string>(words: readonly W[]) =>
  Type.Enum([...words], { description: `must be one of ${words.join(', ')}` });

/** What a source says of a call, apart from its recording. Each description completes the sentence "calls[0].callId …". */
export const AnnouncedCallSchema = Type.Object(
  {
    callId,
    startedAt,
    endedAt: Type.Optional(endedAt),
    direction: Type.Optional(word(directions)),
    callerNumber: Type.Optional(callerNumber),
    calledNumber: Type.Optional(calledNumber),
    expectedDurationMs: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_EXPECTED_MS,
        description: `must be how long the recording should be, in whole milliseconds from 0 to ${MAX_EXPECTED_MS}`,
      }),
    ),
    recorded: Type.Optional(word(['expected', 'not_expected'])),
    reason: Type.Optional(word(unrecordedReasons)),
  },
  { additionalProperties: false, required: ['callId', 'startedAt'] },
);

export const AnnouncementSchema = Type.Union([
  AnnouncedCallSchema,
  Type.Object(
    { calls: Type.Array(AnnouncedCallSchema, { minItems: 1, maxItems: MAX_ANNOUNCED }) },
    { additionalProperties: false },
  ),
]);
