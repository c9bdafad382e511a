import type { AudioFacts, AudioFlag } from './audio/facts.ts';
import type { CallMetadata } from './metadata.ts';

/**
 * What is odd about a delivery besides its audio. Never a reason to refuse: a telephony system seldom sends a call twice.
 * They go into the access log, so a word here is stable for ever.
 */
export type DeliveryFlag =
  /** Neither the metadata nor an active default unit of the source says whose it is: no nurse can hear it. */
  | 'no_care_unit'
  /** The pauses overlap, or did not come in order; they are kept in order. */
  | 'pauses_unordered'
  /** A pause ends after the recording does. */
  | 'pauses_beyond_end'
  /** A party is named for a channel that the recording does not have. */
  | 'channels_beyond'
  /**
   * Something that was said of the call could not be read, or named a care unit that there is not, and was left out: of
   * senders that cannot put it right.
   */
  | 'metadata_faulty';

export type RecordingFlag = AudioFlag | DeliveryFlag;

/** Telephony systems and the sound's own clock differ by as much. */
const TOLERANCE_MS = 1_000;

/** What became of the care unit that was named, or was not. */
export type UnitFound = {
  /** Whether there is an active one: of what has none no nurse hears anything. */
  readonly hasCareUnit: boolean;
  /** One was named that there is not. */
  readonly unitIsUnknown: boolean;
};

/** What the metadata says against what the audio is; what cannot be known of the audio contradicts nothing. */
export const deliveryFlags = (
  {
    channels,
    pauses,
    pausesInOrder,
    unread,
  }: Pick<CallMetadata, 'channels' | 'pauses' | 'pausesInOrder' | 'unread'>,
  facts: Pick<AudioFacts, 'channels' | 'durationMs'>,
  { hasCareUnit, unitIsUnknown }: UnitFound,
): DeliveryFlag[] => {
  const end = (facts.durationMs ?? Number.POSITIVE_INFINITY) + TOLERANCE_MS;
  const count = facts.channels ?? Number.POSITIVE_INFINITY;
  const flags: readonly (readonly [DeliveryFlag, boolean])[] = [
    ['no_care_unit', !hasCareUnit],
    ['pauses_unordered', !pausesInOrder],
    ['pauses_beyond_end', pauses.some(([, to]) => to > end)],
    ['channels_beyond', Object.keys(channels ?? {}).some((channel) => Number(channel) >= count)],
    ['metadata_faulty', unread || unitIsUnknown],
  ];
  return flags.filter(([, holds]) => holds).map(([flag]) => flag);
};
