import type { AudioFlag, Codec } from './facts.ts';

/**
 * What a browser can do with a recording: play the original; play what is derived from it while it is served; or neither,
 * and then the original is served as it is.
 */
export type Playable = 'original' | 'derived' | 'none';

/** What Chromium and Firefox play, by the media type under which it is served. */
const played: Readonly<Record<string, readonly Codec[]>> = {
  'audio/wav': ['pcm_u8', 'pcm_s16', 'pcm_s24', 'pcm_s32', 'pcm_f32', 'alaw', 'ulaw', 'mp3'],
  'audio/mpeg': ['mp3'],
  'audio/ogg': ['opus', 'vorbis', 'flac'],
  'audio/flac': ['flac'],
  'audio/mp4': ['aac', 'opus', 'flac', 'mp3'],
  'audio/aac': ['aac'],
  'audio/webm': ['opus', 'vorbis'],
  // Chromium does; of the others it is not known.
  'audio/matroska': ['opus', 'vorbis'],
};

export type PlayableFacts = {
  readonly mediaType: string | null;
  readonly codec: string | null;
  readonly flags: readonly string[];
};

/** Where nothing is to be heard there is nothing to play. */
const SILENCED: readonly AudioFlag[] = ['empty'];

export const playableOf = ({ mediaType, codec, flags }: PlayableFacts, isDerived: boolean): Playable => {
  if (SILENCED.some((flag) => flags.includes(flag))) return 'none';
  if (isDerived) return 'derived';
  return played[mediaType ?? '']?.includes(codec as Codec) ? 'original' : 'none';
};
