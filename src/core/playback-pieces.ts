import { MAX_PIECE_BYTES } from './range.ts';
import { HEADER_BYTES, TAG_BYTES, VAULT_SEGMENT_BYTES } from './sealed-layout.ts';

const FIRST = VAULT_SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES;
const NEXT = VAULT_SEGMENT_BYTES - TAG_BYTES;

/**
 * Where the piece that begins at `start` ends: at the last segment boundary within reach of `most` bytes, so that a player reading on finds
 * its next piece on a boundary and no segment is opened twice.
 */
export const pieceEnd = (start: number, total: number, most: number = MAX_PIECE_BYTES): number => {
  const reach = start + most;
  if (reach >= total) return total;
  return segmentBoundary(reach);
};

/** The last beginning of a segment up to plaintext byte `reach`, the first segment's excepted. */
export const segmentBoundary = (reach: number): number => FIRST + Math.floor((reach - FIRST) / NEXT) * NEXT;
