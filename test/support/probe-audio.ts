import { type AudioReport, createAudioProbe } from '../../src/core/audio/probe.ts';
import { placeToKeep } from '../../src/core/audio/sound-place.ts';

/**
 * Probes bytes fed in pieces of `pieceBytes` (all at once by default), each of which is gone once it was pushed: an upload gives
 * its memory back, and what a parser still holds of it has no bytes any more.
 */
export const probeAudio = (
  bytes: Uint8Array,
  pieceBytes = bytes.length || 1,
  declaredMediaType?: string,
): AudioReport => {
  const probe = createAudioProbe(declaredMediaType === undefined ? {} : { declaredMediaType });
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const piece = new Uint8Array(bytes.subarray(at, at + pieceBytes));
    probe.push(piece);
    piece.buffer.transfer(0);
  }
  return probe.finish();
};

/** What is said of a whole file. */
export const facts = (bytes: Uint8Array): AudioReport['facts'] => probeAudio(bytes).facts;

/** What is played of a file, found at its place in the original. */
export const played = (file: Buffer, pieceBytes = 64): Buffer => {
  const { place } = probeAudio(file, pieceBytes);
  return place === null ? Buffer.alloc(0) : file.subarray(place.start, place.start + place.bytes);
};

/** Whether what is played of a file is made of it. */
export const isDerived = (file: Buffer): boolean => {
  const { facts: about, place } = probeAudio(file);
  return placeToKeep(about, place) !== null;
};

export { audioFixture } from './audio-files.ts';
