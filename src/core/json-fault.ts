export type JsonFault = {
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
};

const SPACE = /[ \t\r\n]*/y;
const TEXT = /"(?:[^"\\\p{Cc}]|[\u{7f}-\u{9f}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null/y;
/** Beyond it nobody looks: what says more of a call than this is none. */
const MAX_DEPTH = 100;

const placeOf = (text: string, at: number): JsonFault => {
  const before = text.slice(0, at);
  const begin = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: at - begin + 1 };
};

/**
 * Where a text, which JSON.parse has refused, ceases to be JSON (RFC 8259): the place and never what stands there, for what
 * JSON.parse says of it repeats the input. Null: it ends too early. The text is attacker-controlled.
 */
export const jsonFault = (text: string): JsonFault | null => {
  let at = 0;
  const taken = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found === null) return false;
    at += found[0].length;
    return true;
  };
  const space = (): boolean => taken(SPACE);
  const mark = (character: string): boolean => {
    space();
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  const list = (end: string, one: () => boolean): boolean => {
    if (mark(end)) return true;
    do if (!one()) return false;
    while (mark(','));
    return mark(end);
  };
  const value = (depth: number): boolean => {
    space();
    if (depth > MAX_DEPTH) return false;
    if (mark('[')) return list(']', () => value(depth + 1));
    if (mark('{'))
      return list('}', () => {
        space();
        return taken(TEXT) && mark(':') && value(depth + 1);
      });
    return taken(TEXT) || taken(SCALAR);
  };
  value(0);
  space();
  return at >= text.length ? null : placeOf(text, at);
};
