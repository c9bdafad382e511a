import { type AnnouncedCall, readAnnouncedCall } from './announced-call.ts';
import { isPlausible } from './audio/facts.ts';
import { AppError } from './errors.ts';
import { type CallMetadata, parseMetadata, readMetadataJson } from './metadata.ts';

/** What jambonz says of a call before its sound, and how the sound is to be read. */
export type JambonzCall = {
  readonly metadata: CallMetadata;
  readonly mediaType: string;
  /** The call as the radar is told of it: under way, or ended at a time in milliseconds since 1970. */
  readonly announced: (endedAt?: number) => AnnouncedCall;
};

/** Longer ones are no numbers; those of SIP are names anyway. */
const MAX_NUMBER = 128;
/** The channels that FreeSWITCH sends for what jambonz calls the mix. */
const channelsOf: ReadonlyMap<string, number> = new Map([
  ['mono', 1],
  ['mixed', 1],
  ['stereo', 2],
]);
/** What an application may say of its call, in our words, in the `metadata` of its verb. */
const own = ['agentId', 'queue', 'careUnit', 'personalNumber'] as const;

const refused = (where: string, fault: string): AppError =>
  new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', { faults: [{ where, fault }] });

type Said = Readonly<Record<string, unknown>>;

const textOf = (said: Said, name: string): string | undefined => {
  const value = Object.hasOwn(said, name) ? said[name] : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
};

const numberOf = (said: Said, name: string): string | undefined => {
  const value = textOf(said, name);
  return value !== undefined && value.length <= MAX_NUMBER ? value : undefined;
};

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
 * that is sent live is never sent again, so each `connection` is a delivery of its own. Throws `not_acceptable_metadata`.
 * `now` is milliseconds since 1970.
 */
export const callOfJambonz = (frame: Uint8Array, connection: string, now: number): JambonzCall => {
  const said: Said = readMetadataJson(frame);
  const direction = textOf(said, 'direction');
  const call = {
    callId: textOf(said, 'callSid'),
    startedAt: new Date(now).toISOString(),
    direction: direction === 'inbound' || direction === 'outbound' ? direction : undefined,
    callerNumber: numberOf(said, 'from'),
    calledNumber: numberOf(said, 'to'),
  };
  if (call.callId === undefined) throw refused('callSid', 'is required');
  const details = Object.fromEntries(own.map((name) => [name, textOf(said, name)]));
  return {
    metadata: parseMetadata(
      given({ ...call, ...details, deliveryId: `jambonz ${connection}` }),
      now,
      (field) => (field === 'callId' ? 'callSid' : field),
    ),
    mediaType: mediaTypeOf(said),
    announced(endedAt) {
      // A clock that was set back must not make the call end before it began.
      const ended = endedAt === undefined ? undefined : new Date(Math.max(endedAt, now)).toISOString();
      const read = readAnnouncedCall(given({ ...call, endedAt: ended }), now);
      if ('faults' in read) throw refused('metadata', 'does not describe a call');
      return read.call;
    },
  };
};

const given = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
