/** A string of JSON, or what opens and closes what it may stand in. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]/g;

/**
 * The first name that stands twice in the outermost object of `text`, which JSON.parse has accepted; null when there is none.
 * Of two values JSON.parse silently takes the last (RFC 8259 §4): whoever looks at the first sees something else than we.
 */
export const repeatedName = (text: string): string | null => {
  const names = new Set<string>();
  let depth = 0;
  let last: string | null = null;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === ':' && depth === 1 && last !== null) {
      const name = JSON.parse(last) as string;
      if (names.has(name)) return name;
      names.add(name);
    }
    if (token === '{' || token === '[') depth += 1;
    if (token === '}' || token === ']') depth -= 1;
    last = token.startsWith('"') ? token : null;
  }
  return null;
};
