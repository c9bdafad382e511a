import type { AudioFacts } from '../../src/core/audio/facts.ts';

type Expected = readonly [
  file: string,
  mediaType: string,
  codec: AudioFacts['codec'],
  rate: number | null,
  channels: number | null,
  declared: number | null,
  actual: number | null,
];

/** As soxi and ffprobe describe the same files; MP3 without an encoder's note includes its encoder's padding. */
export const fixtures: readonly Expected[] = [
  ['pcm_u8.wav', 'audio/wav', 'pcm_u8', 8000, 1, 600, 600],
  ['pcm_s16.wav', 'audio/wav', 'pcm_s16', 8000, 1, 600, 600],
  ['pcm_s24-extensible.wav', 'audio/wav', 'pcm_s24', 8000, 1, 600, 600],
  ['pcm_s32-extensible.wav', 'audio/wav', 'pcm_s32', 8000, 1, 600, 600],
  ['pcm_f32.wav', 'audio/wav', 'pcm_f32', 8000, 1, 600, 600],
  ['pcm_f64.wav', 'audio/wav', 'pcm_f64', 8000, 1, 600, 600],
  ['stereo.wav', 'audio/wav', 'pcm_s16', 8000, 2, 600, 600],
  ['alaw.wav', 'audio/wav', 'alaw', 8000, 1, 600, 600],
  ['ulaw.wav', 'audio/wav', 'ulaw', 8000, 1, 600, 600],
  ['gsm610.wav', 'audio/wav', 'gsm610', 8000, 1, 600, 600],
  ['adpcm_ms.wav', 'audio/wav', 'adpcm_ms', 8000, 1, 600, 600],
  ['adpcm_ima.wav', 'audio/wav', 'adpcm_ima', 8000, 1, 600, 600],
  ['mp3.wav', 'audio/wav', 'mp3', 8000, 1, null, 792],
  ['pipe.wav', 'audio/wav', 'pcm_s16', 8000, 1, null, 600],
  ['rf64.wav', 'audio/wav', 'pcm_s16', 8000, 1, 600, 600],
  ['untagged-cbr.mp3', 'audio/mpeg', 'mp3', 8000, 1, null, 792],
  ['tagged-vbr.mp3', 'audio/mpeg', 'mp3', 8000, 1, 600, 600],
  ['id3-16k.mp3', 'audio/mpeg', 'mp3', 16_000, 1, 600, 600],
  ['lavf.mp3', 'audio/mpeg', 'mp3', 44_100, 2, 600, 600],
  ['vorbis.ogg', 'audio/ogg', 'vorbis', 8000, 1, null, 600],
  ['opus.ogg', 'audio/ogg', 'opus', 48_000, 1, null, 600],
  ['speech.flac', 'audio/flac', 'flac', 8000, 1, 600, 600],
  ['aac.m4a', 'audio/mp4', 'aac', 8000, 1, 600, 600],
  ['aac-moov-first.m4a', 'audio/mp4', 'aac', 8000, 1, 600, 600],
  ['aac-fragmented.m4a', 'audio/mp4', 'aac', 8000, 1, null, 728],
  ['aac-described.m4a', 'audio/mp4', 'aac', 8000, 1, null, 728],
  ['aac-one-fragment.m4a', 'audio/mp4', 'aac', 8000, 1, null, 728],
  ['aac.aac', 'audio/aac', 'aac', 8000, 1, null, 768],
  ['opus.webm', 'audio/webm', 'opus', 48_000, 1, 608, 606],
  ['opus-live.webm', 'audio/webm', 'opus', 48_000, 1, null, 606],
  ['opus.mka', 'audio/matroska', 'opus', 48_000, 1, 608, 606],
  ['amr_nb.amr-nb', 'audio/amr', 'amr_nb', 8000, 1, null, 600],
  ['pcm_s16.au', 'audio/x-au', 'pcm_s16be', 8000, 1, 600, 600],
  ['ulaw.au', 'audio/x-au', 'ulaw', 8000, 1, 600, 600],
];

/** Sound without a container is what its sender declares. */
export const declaredFixtures: readonly (readonly [declared: string, ...Expected])[] = [
  ['audio/x-slin', 'tone.sln', 'audio/x-slin;rate=8000', 'pcm_s16', 8000, 1, null, 600],
  ['audio/x-slin;rate=16000', 'tone.sln', 'audio/x-slin;rate=16000', 'pcm_s16', 16_000, 1, null, 300],
  [
    'Audio/SLIN; channels="2"; rate=8000',
    'tone.sln',
    'audio/x-slin;rate=8000;channels=2',
    'pcm_s16',
    8000,
    2,
    null,
    300,
  ],
  ['audio/L16;rate=8000', 'tone.l16', 'audio/L16;rate=8000', 'pcm_s16be', 8000, 1, null, 600],
  ['audio/basic', 'tone.ulaw', 'audio/basic', 'ulaw', 8000, 1, null, 600],
  ['audio/PCMU', 'tone.ulaw', 'audio/basic', 'ulaw', 8000, 1, null, 600],
  ['audio/x-mulaw;rate=16000', 'tone.ulaw', 'audio/basic;rate=16000', 'ulaw', 16_000, 1, null, 300],
  ['audio/x-alaw', 'tone.alaw', 'audio/x-alaw', 'alaw', 8000, 1, null, 600],
  ['audio/pcma', 'tone.alaw', 'audio/x-alaw', 'alaw', 8000, 1, null, 600],
  ['audio/gsm', 'tone.gsm', 'audio/gsm', 'gsm610', 8000, 1, null, 600],
  ['audio/x-gsm;rate=99', 'tone.gsm', 'audio/gsm', 'gsm610', 8000, 1, null, 600],
  ['audio/G722;rate=8000', 'tone.g722', 'audio/g722', 'g722', 16_000, 1, null, 600],
];

/** Written to a pipe, or as it was recorded. */
export const withoutLength = new Set([
  'pipe.wav',
  'opus-live.webm',
  'aac-fragmented.m4a',
  'aac-described.m4a',
  'aac-one-fragment.m4a',
]);
