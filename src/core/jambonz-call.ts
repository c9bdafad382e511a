import { type AnnouncedCall, readAnnouncedCall } from './announced-call.ts';
import { isPlausible } from './audio/facts.ts';
import { AppError } from './errors.ts';
import { type CallMetadata, parseTolerantly, readMetadataJson } from './metadata.ts';

/** What jambonz says of a call before its sound, and how the sound is to be read. */
export type JambonzCall = {
  readonly metadata: CallMetadata;
  readonly mediaType: string;
  /** The call as the radar is told of it: under way, or ended at a time in milliseconds since 1970. */
  readonly announced: (endedAt?: number) => AnnouncedCall;
};

/** The channels that FreeSWITCH sends for what jambonz calls the mix. */
const channelsOf: ReadonlyMap<string, number> = new Map([
  ['mono', 1],
  ['mixed', 1],
  ['stereo', 2],
]);
/** By what each is called there: of the call, and in our words what an application may say of it in the `metadata` of its verb. */
const wishes = {
  direction: 'direction',
  callerNumber: 'from',
  calledNumber: 'to',
  agentId: 'agentId',
  queue: 'queue',
  careUnit: 'careUnit',
  personalNumber: 'personalNumber',
} as const;
type Wish = keyof typeof wishes;

const refused = (where: string, fault: string): AppError =>
  new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', { faults: [{ where, fault }] });

type Said = Readonly<Record<string, unknown>>;

const textOf = (said: Said, name: string): string | undefined => {
  const value = Object.hasOwn(said, name) ? said[name] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
};

/** As they were said, whatever they are; empty ones were not. */
const wishedIn = (said: Said): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(wishes)
      .map(([field, name]) => [field, Object.hasOwn(said, name) ? said[name] : undefined] as const)
      .filter(([, value]) => value !== undefined && value !== null && value !== ''),
  );

/** Without its true rate sound is noise, and nothing in the bytes tells it. */
const mediaTypeOf = (said: Said): string => {
  const rate = Object.hasOwn(said, 'sampleRate') ? said.sampleRate : undefined;
  const channels = channelsOf.get(textOf(said, 'mixType') ?? 'stereo');
  if (typeof rate !== 'number' || !Number.isInteger(rate) || !isPlausible(rate, 1))
    throw refused('sampleRate', 'must be samples per second, as a number');
  if (channels === undefined) throw refused('mixType', 'must be one of mono, mixed, stereo');
  // Called L16 there, but FreeSWITCH sends samples as its processor has them: least significant byte first.
  return `audio/x-slin;rate=${rate};channels=${channels}`;
};

/**
 * Reads the first frame of a recording (lib/tasks/listen.js and lib/session/call-info.js of jambonz-feature-server), which is
 * attacker-controlled. Known names are looked up, everything else is passed over, for applications add what they like. Sound
 * that is sent live is never sent again, so each `connection` is a delivery of its own, and what cannot be read is left out.
 * Throws `not_acceptable_metadata` where there is no call, or no telling how its sound is to be read. `now` is milliseconds since 1970.
 */
export const callOfJambonz = (frame: Uint8Array, connection: string, now: number): JambonzCall => {
  const said: Said = readMetadataJson(frame);
  const callId = textOf(said, 'callSid');
  if (callId === undefined) throw refused('callSid', 'is required');
  const call = { callId, startedAt: new Date(now).toISOString() };
  const metadata = parseTolerantly(
    { ...wishedIn(said), ...call, deliveryId: `jambonz ${connection}` },
    Object.keys(wishes) as Wish[],
    now,
    (field) => (field === 'callId' ? 'callSid' : field),
  );
  const { direction, callerNumber, calledNumber } = metadata;
  const known = { direction, callerNumber: callerNumber?.raw, calledNumber: calledNumber?.raw };
  return {
    metadata,
    mediaType: mediaTypeOf(said),
    announced(endedAt) {
      // A clock that was set back must not make the call end before it began.
      const ended = endedAt === undefined ? undefined : new Date(Math.max(endedAt, now)).toISOString();
      const read = readAnnouncedCall(given({ ...call, ...known, endedAt: ended }), now);
      if ('faults' in read) throw refused('metadata', 'does not describe a call');
      return read.call;
    },
  };
};

const given = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
