import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { MAX_LINE_BYTES } from './export-format.ts';

const LINE_FEED = 0x0a;

/** `text` is null for bytes that are no UTF-8. */
export type OnLine = (text: string | null) => void;

/**
 * Lines of a file of any size that comes in pieces, with the digest of everything before the last of them. Holds one
 * unfinished line at the most, and gives up on one that is longer than any of ours.
 */
export const createLineSplitter = (onLine: OnLine) => {
  const digest = createHash('sha256');
  let pending: Buffer = Buffer.alloc(0);
  /** The last whole line: in the digest only when another follows. */
  let last: Buffer = Buffer.alloc(0);
  let tooLong = false;

  const emit = (line: Buffer): void => onLine(isUtf8(line) ? line.toString('utf8') : null);

  return {
    push: (piece: Buffer): void => {
      if (tooLong) return;
      const bytes = pending.length === 0 ? piece : Buffer.concat([pending, piece]);
      let start = 0;
      let lastStart = -1;
      for (;;) {
        const end = bytes.indexOf(LINE_FEED, start);
        if (end === -1 || end - start > MAX_LINE_BYTES) break;
        lastStart = start;
        emit(bytes.subarray(start, end));
        start = end + 1;
      }
      if (lastStart !== -1) {
        digest.update(last);
        digest.update(bytes.subarray(0, lastStart));
        last = Buffer.from(bytes.subarray(lastStart, start));
      }
      pending = Buffer.from(bytes.subarray(start, start + MAX_LINE_BYTES + 1));
      tooLong = pending.length > MAX_LINE_BYTES;
    },
    /** SHA-256, hex, of every byte before the last whole line. */
    finish: (): { readonly before: string; readonly rest: 'none' | 'unfinished' | 'too long' } => ({
      before: digest.digest('hex'),
      rest: tooLong ? 'too long' : pending.length === 0 ? 'none' : 'unfinished',
    }),
  };
};
