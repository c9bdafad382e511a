import { Type } from 'typebox';
import { AnnouncementSchema, MAX_ANNOUNCED } from '../../core/announced-call-schema.ts';
import { MAX_RECORDS } from '../../core/call-records.ts';
import { ListQuerySchema } from './admin.ts';
import { Closed, Cursor, Instant, Nullable, Uuid } from './common.ts';

/** For /openapi.json: the route reads both by core/announced-call.ts and core/call-records.ts, whose schema this is. */
export const Announcement = {
  body: {
    content: {
      'application/json': { schema: AnnouncementSchema },
      'text/csv': {
        schema: Type.String({
          description: `call records of at most ${MAX_RECORDS} rows, UTF-8, comma or semicolon, columns named in the first line: our own names (callId, startedAt, endedAt, direction, callerNumber, calledNumber, expectedDurationMs, recorded, reason), those of Asterisk and FreePBX (uniqueid, calldate or start, end, src, dst, billsec, disposition) or of FusionPBX (xml_cdr_uuid, start_stamp or start_epoch, end_stamp, direction, caller_id_number, destination_number, billsec); others are passed over`,
        }),
      },
    },
  },
};

export const AnnounceQuery = Closed({
  timeZone: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z][A-Za-z0-9_+/-]{0,63}$',
      maxLength: 64,
      description: 'of the times in a table that name none, such as Europe/Stockholm',
    }),
  ),
});

const Count = (description: string) => Type.Integer({ minimum: 0, description });
export const AnnouncedSchema = Closed({
  accepted: Count('calls that are kept now'),
  tooOld: Count('that began longer ago than announced calls are kept'),
  refused: Count('rows of a table that could not be read; faults names the first'),
  faults: Type.Array(Closed({ where: Type.String(), fault: Type.String() })),
  ids: Type.Array(Nullable(Uuid), {
    maxItems: Math.max(MAX_ANNOUNCED, MAX_RECORDS),
    description:
      'by what id the radar names each call, in the order in which they came; of a table one for each row, empty lines left out; null: too old, or refused',
  }),
});

const DAY = { pattern: '^\\d{4}-\\d\\d-\\d\\d$', maxLength: 10 };
export const RadarQuery = Closed({
  from: Type.String({ ...DAY, description: 'first day, UTC' }),
  to: Type.String({ ...DAY, description: 'last day, UTC; at most 30 after the first' }),
});

export const RadarSchema = Closed({
  days: Type.Array(
    Closed({
      source: Uuid,
      day: Type.String(DAY),
      announced: Count('calls that the source announced'),
      notExpected: Count('of them that should not have been recorded'),
      missing: Count('of the others that are over and have no recording'),
      short: Count('of the others whose recordings are much shorter than the call, or hold no sound'),
      recordings: Count('recordings that are stored'),
      unannounced: Count('of them without a call; only of a source that announces'),
      oneSided: Count('of them with sound on one side alone'),
      silent: Count('of them with silence alone'),
      noSound: Count('of them in which no sound was found: flagged empty or unknown_format'),
    }),
  ),
});

export const findings = ['missing', 'short', 'unannounced', 'one_sided', 'silent', 'no_sound'] as const;
export const FindingsQuery = Closed({
  source: Uuid,
  day: Type.String({ ...DAY, description: 'UTC' }),
  finding: Type.Enum([...findings]),
  ...ListQuerySchema.properties,
});
export const FindingsPage = Closed({
  items: Type.Array(
    Closed({
      id: {
        ...Uuid,
        description: 'of the announced call (missing, short), or of the recording (the others)',
      },
      startedAt: Instant,
    }),
  ),
  next: Nullable(Cursor),
});
