import { createContext, Script } from 'node:vm';
import { AppError } from '../../core/errors.ts';
import { type CustomMatch, customGroups, MAX_LEGACY_PATH_CHARS } from '../../core/legacy-names.ts';

const MAX_PATTERN_CHARS = 1_000;
/** For one name. */
const LIMIT_MS = 50;
/** Names that took longer, until the pattern is at fault and not the name. */
const MAX_TIMEOUTS = 20;

/**
 * A regular expression of the operator's, with named groups ({@link customGroups}), for paths in the share. Throws
 * `config_invalid` for one that is none. The paths are attacker-controlled, and a pattern that goes back and forth over one can
 * be made to take for ever: it is stopped, the name counts as not matching, and a pattern that this happens to again and
 * again ends the import.
 */
export const createNamePattern = (source: string): ((relativePath: string) => CustomMatch | null) => {
  const invalid = (sentence: string): AppError => new AppError('config_invalid', sentence);
  if (source.length > MAX_PATTERN_CHARS) throw invalid('--pattern is longer than 1000 characters.');
  let pattern: RegExp;
  try {
    pattern = new RegExp(source, 'u');
  } catch {
    throw invalid('--pattern is no regular expression.');
  }
  const groups = [...source.matchAll(/\(\?<([A-Za-z]\w*)>/g)].map(([, name]) => name);
  const known: readonly (string | undefined)[] = customGroups;
  if (groups.length === 0 || !groups.every((name) => known.includes(name)))
    throw invalid(`--pattern needs named groups, of these: ${customGroups.join(', ')}.`);
  const context = createContext({ pattern, text: '' }) as { text: string };
  const script = new Script('pattern.exec(text)');
  let timeouts = 0;
  return (relativePath) => {
    if (relativePath.length > MAX_LEGACY_PATH_CHARS) return null;
    context.text = relativePath;
    try {
      const match = script.runInContext(context, { timeout: LIMIT_MS }) as RegExpExecArray | null;
      return match?.groups ?? null;
    } catch {
      timeouts += 1;
      if (timeouts > MAX_TIMEOUTS)
        throw invalid('--pattern takes too long for names of this share: make it simpler.');
      return null;
    }
  };
};
