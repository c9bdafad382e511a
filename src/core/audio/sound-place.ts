import { derivationOf } from './derivation.ts';
import type { AudioFacts, SoundPlace } from './facts.ts';
import { playableOf } from './playable.ts';

/** Where the sound of an original lies, as it is kept beside the other facts of the recording. */
export type KeptPlace = Omit<SoundPlace, 'described'>;

/** What to keep of a place: everything when a derivation is made from it, null when players are given the original. */
export const placeToKeep = (facts: AudioFacts, place: SoundPlace | null): KeptPlace | null => {
  const { codec, sampleRate, channels } = facts;
  if (place === null || codec === null || sampleRate === null || channels === null) return null;
  if (place.described && playableOf(facts, false) === 'original') return null;
  const { described: _described, ...kept } = place;
  return derivationOf({ codec, sampleRate, channels, place: kept }) === null ? null : kept;
};

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/**
 * Reads what was kept; null for anything that cannot be a place in an original of so many bytes. Whoever changes the database
 * changes nothing that is heard but where it begins and ends: the original itself is verified.
 */
export const readPlace = (kept: unknown, originalBytes: number): KeptPlace | null => {
  if (typeof kept !== 'object' || kept === null) return null;
  const { start, bytes, blockBytes, blockSamples, samples } = kept as Record<keyof KeptPlace, unknown>;
  if (!isCount(start) || !isCount(bytes) || !isCount(blockBytes)) return null;
  if (!isCount(blockSamples) || !isCount(samples)) return null;
  const fits = start + bytes <= originalBytes && blockBytes > 0 && bytes % blockBytes === 0;
  return fits && samples <= (bytes / blockBytes) * blockSamples
    ? { start, bytes, blockBytes, blockSamples, samples }
    : null;
};
