import { setImmediate } from 'node:timers/promises';
import { type Derivation, derivationOf } from '../core/audio/derivation.ts';
import type { Codec } from '../core/audio/facts.ts';
import { type Playable, playableOf } from '../core/audio/playable.ts';
import { readPlace } from '../core/audio/sound-place.ts';
import { AppError } from '../core/errors.ts';
import { freeBuffer } from '../core/free-buffer.ts';
import { pieceEnd } from '../core/playback-pieces.ts';
import type { ByteRange } from '../core/sealed-layout.ts';
import type { RecordingRow } from '../storage/recording-table.ts';
import type { ReadVerified } from './read-verified.ts';
import type { OpenedRecording } from './stream-playback.ts';

/** What a listener is given: the original, or a file that is derived from it while it is served. */
export type ServedSound = {
  readonly mediaType: string;
  readonly totalBytes: number;
  /** Strong: the same tag, the same bytes. */
  readonly etag: string;
  /** Verified before a byte is made of it; belongs to the caller. */
  readonly read: (range: ByteRange, signal: AbortSignal) => Promise<Buffer>;
  /** Width of the parts in which the whole flows. */
  readonly flowBytes: number;
  /** Where a part from `start` of at most `most` bytes ends, so that the next begins without anything opened or made twice. */
  readonly partEnd: (start: number, most: number) => number;
};

type SoundColumns = Pick<
  RecordingRow,
  'mediaType' | 'codec' | 'sampleRate' | 'channels' | 'flags' | 'plainBytes' | 'soundPlace'
>;

/** Null where the original is served. */
const derivationOfRow = (row: SoundColumns): Derivation | null => {
  const { codec, sampleRate, channels } = row;
  const place = readPlace(row.soundPlace, Number(row.plainBytes ?? 0));
  if (place === null || codec === null || sampleRate === null || channels === null) return null;
  return derivationOf({ codec: codec as Codec, sampleRate, channels, place });
};

/** What a browser can do with a recording, and as what it is served. */
export const playbackOf = (
  row: SoundColumns,
): { readonly playable: Playable; readonly mediaType: string | null } => {
  const derivation = derivationOfRow(row);
  return {
    playable: playableOf(row, derivation !== null),
    mediaType: derivation?.mediaType ?? row.mediaType,
  };
};

/** Names how derivations are made: another way of making them is another number, for they would have other bytes. */
const DERIVED = 'wav1';

/**
 * What flows is read in small parts: several are on their way to a slow listener at any time, and there are many of them.
 * Of what is decoded they are wide enough for one piece.
 */
const FLOW_BYTES = 128 * 1024;
const DERIVED_FLOW_BYTES = 256 * 1024;

const original = (known: OpenedRecording, readVerified: ReadVerified): ServedSound => {
  const totalBytes = known.envelope.plainBytes;
  return {
    mediaType: known.row.mediaType ?? 'application/octet-stream',
    totalBytes,
    etag: `"${known.envelope.generation}"`,
    read: (range, signal) => readVerified(known, range, signal),
    flowBytes: FLOW_BYTES,
    partEnd: (start, most) => pieceEnd(start, totalBytes, most),
  };
};

const derived = (known: OpenedRecording, derivation: Derivation, readVerified: ReadVerified): ServedSound => {
  const { mediaType, totalBytes } = derivation;
  return {
    mediaType,
    totalBytes,
    etag: `"${known.envelope.generation}-${DERIVED}"`,
    async read(range, signal) {
      const source = await readVerified(known, derivation.sourceOf(range), signal);
      const made = Buffer.allocUnsafeSlow(range.end - range.start);
      let at = 0;
      for (const part of derivation.render(range, source)) {
        at += part.copy(made, at);
        // Some seconds of sound have been decoded: others wait.
        if (at < made.length) await setImmediate(undefined, { signal });
      }
      freeBuffer(source);
      // The memory was not cleared before: not a byte of it leaves that was not written.
      if (at !== made.length)
        throw new AppError('internal', 'a derivation of another length than it should be');
      return made;
    },
    flowBytes: DERIVED_FLOW_BYTES,
    partEnd(start, most) {
      const reach = start + most;
      if (reach >= totalBytes) return totalBytes;
      const boundary = derivation.boundary(reach);
      return boundary > start ? boundary : reach;
    },
  };
};

/** What is served of an opened recording; the original itself where that is asked for. */
export const servedSound = (
  known: OpenedRecording,
  asOriginal: boolean,
  readVerified: ReadVerified,
): ServedSound => {
  const derivation = asOriginal ? null : derivationOfRow(known.row);
  return derivation === null ? original(known, readVerified) : derived(known, derivation, readVerified);
};
