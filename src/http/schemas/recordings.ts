import { Type } from 'typebox';
import { Closed, Cursor, Instant, Nullable, Uuid } from './common.ts';

const Text = (maxLength: number) => Type.String({ minLength: 1, maxLength });

export const IngestedSchema = Closed({
  id: Uuid,
  status: Type.Literal('stored'),
  sha256: Type.String({
    maxLength: 64,
    description: 'of the audio as it arrived; compare before deleting your copy',
  }),
  bytes: Type.Integer(),
  durationMs: Nullable(Type.Integer()),
  mediaType: Type.String({ maxLength: 100 }),
  flags: Type.Array(Type.String({ maxLength: 40 }), {
    description:
      'what was odd about it when it came; no_care_unit: neither careUnit nor an active default unit of the source said whose it is, so that no nurse can hear it until it is given to a unit; metadata_faulty: something that was said could not be read, or named a care unit that there is not, and was left out',
  }),
});

export const UploadStatusSchema = Closed({
  id: Uuid,
  status: Type.Enum(['receiving', 'stored', 'erased']),
});

const Direction = Type.Enum(['inbound', 'outbound', 'internal']);

export const RecordingQuerySchema = Closed({
  from: Type.Optional(Instant),
  to: Type.Optional(Instant),
  careUnit: Type.Optional(Uuid),
  direction: Type.Optional(Direction),
  callerNumber: Type.Optional(Text(64)),
  calledNumber: Type.Optional(Text(64)),
  personalNumber: Type.Optional(Text(32)),
  callId: Type.Optional(Text(256)),
  agentId: Type.Optional(Text(256)),
  queue: Type.Optional(Text(256)),
  originalName: Type.Optional(Text(255)),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  cursor: Type.Optional(Cursor),
});

const MaybeText = Nullable(Type.String({ maxLength: 512 }));

const common = {
  id: Uuid,
  careUnit: Nullable(Uuid),
  source: Uuid,
  startedAt: Instant,
  endedAt: Nullable(Instant),
  direction: MaybeText,
  segment: Type.Integer(),
  durationMs: Nullable(Type.Integer()),
  mediaType: MaybeText,
  channels: Nullable(Type.Integer()),
  flags: Type.Array(Type.String({ maxLength: 40 })),
  retentionClass: Type.String({ maxLength: 40 }),
  held: Type.Boolean({ description: 'a hold keeps it from being erased' }),
};
const personal = {
  callId: MaybeText,
  callerNumber: MaybeText,
  calledNumber: MaybeText,
  agentId: MaybeText,
  queue: MaybeText,
  personalNumber: MaybeText,
  originalName: MaybeText,
};

export const FoundSchema = Closed({
  recordings: Type.Array(
    Closed({
      ...common,
      ...personal,
      damaged: Type.Boolean({
        description: 'its sealed facts did not verify: they are null here, and the operator has been told',
      }),
    }),
  ),
  next: Nullable(Cursor),
});

export const RecordingSchema = Closed({
  ...common,
  ...personal,
  status: Type.Enum(['stored', 'erased'], {
    description: 'erased: the tombstone says that there was a call, and when; nothing else is left',
  }),
  codec: MaybeText,
  sampleRate: Nullable(Type.Integer()),
  declaredDurationMs: Nullable(Type.Integer()),
  channelParties: Nullable(Type.Record(Type.String(), Type.String({ maxLength: 40 }))),
  pauses: Type.Array(Type.Array(Type.Integer(), { minItems: 2, maxItems: 2 })),
  announcement: Type.String({ maxLength: 200 }),
  legalBasis: Type.String({ maxLength: 60 }),
  eraseAfter: Nullable(Instant),
  storedAt: Nullable(Instant),
  erasedAt: Nullable(Instant),
  bytes: Nullable(Type.Integer()),
});

/** Why a recording is erased: closed words, for the log holds no free text about patients. */
export const EraseSchema = Closed({
  reason: Type.Enum(['retention', 'patient_request', 'recorded_by_mistake', 'authority_decision']),
  decisionReference: Type.Optional(
    Type.String({
      minLength: 3,
      maxLength: 60,
      description: "the authority's decision, needed for class journal",
    }),
  ),
});

export const HoldBody = Closed({
  reason: Type.Enum(['complaint', 'legal_claim', 'supervision', 'patient_request', 'investigation']),
});
export const HoldSchema = Closed({ id: Uuid, placedAt: Instant });
