const HEAD_END = '\r\n\r\n';
const CLOSING = '--';
/** Beyond this the parser of the form cuts headers off. */
const MAX_HEAD = 16 * 1024;
/** What ends a line for one reader and not for another, or a text. */
const UNSPEAKABLE = /[\r\n\0]/;
const FILE_NAME = /;\s*filename\*?\s*=[^\r\n]*$/i;

/** Where such a character stands: in a part's file name, or elsewhere among its headers. */
export type HeaderFault = 'filename' | 'headers';

const faultIn = (head: string): HeaderFault | null => {
  // Lines end in CRLF; what continues on the next one belongs to it.
  for (const line of head.replace(/\r\n(?=[ \t])/g, ' ').split('\r\n')) {
    const at = line.search(UNSPEAKABLE);
    if (at !== -1) return FILE_NAME.test(line.slice(0, at)) ? 'filename' : 'headers';
  }
  return null;
};

/**
 * Watches a form go by for line feeds, carriage returns and NULs in the headers of its parts. The parser leaves such headers
 * out without a word, so that nobody could say what was wrong. Bytes are attacker-controlled; no more than one part's headers
 * are kept.
 */
export const createHeaderWatch = (boundary: string) => {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  // The first delimiter may stand at the very beginning.
  let kept: Buffer = Buffer.from('\r\n');
  let inside: 'body' | 'head' | 'end' = 'body';

  const body = (data: Buffer): Buffer | null => {
    const at = data.indexOf(delimiter);
    if (at === -1) {
      kept = Buffer.from(data.subarray(Math.max(0, data.length - delimiter.length + 1)));
      return null;
    }
    inside = 'head';
    return data.subarray(at + delimiter.length);
  };

  const head = (data: Buffer): { readonly rest: Buffer; readonly fault: HeaderFault | null } | null => {
    const end = data.indexOf(HEAD_END);
    if (data.subarray(0, 2).equals(Buffer.from(CLOSING)) || (end === -1 && data.length > MAX_HEAD)) {
      inside = 'end';
      return null;
    }
    if (end === -1) {
      kept = Buffer.from(data);
      return null;
    }
    inside = 'body';
    // A part without content ends in the line break that ends its headers.
    return { rest: data.subarray(end + 2), fault: faultIn(data.toString('latin1', 0, end)) };
  };

  /** The first fault that these bytes bring to light; null while there is none. */
  return (chunk: Buffer): HeaderFault | null => {
    if (inside === 'end') return null;
    let data: Buffer | null = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    kept = Buffer.alloc(0);
    while (data !== null) {
      if (inside === 'body') data = body(data);
      else {
        const read = head(data);
        if (read?.fault) return read.fault;
        data = read?.rest ?? null;
      }
    }
    return null;
  };
};
