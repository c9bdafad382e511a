import { readFileSync } from 'node:fs';
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

/** A file made by foreign tools; test/fixtures/audio/make.sh says how. */
export const audioFixture = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/audio/${name}`, import.meta.url));
