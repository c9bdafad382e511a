import { type AudioReport, createAudioProbe } from '../../src/core/audio/probe.ts';

/** Probes bytes fed in pieces of `pieceBytes` (all at once by default). */
export const probeAudio = (
  bytes: Uint8Array,
  pieceBytes = bytes.length || 1,
  declaredMediaType?: string,
): AudioReport => {
  const probe = createAudioProbe(declaredMediaType === undefined ? {} : { declaredMediaType });
  for (let at = 0; at < bytes.length; at += pieceBytes) probe.push(bytes.subarray(at, at + pieceBytes));
  return probe.finish();
};

export { audioFixture } from './audio-files.ts';
