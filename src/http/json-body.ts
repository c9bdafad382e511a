import type { FastifyInstance } from 'fastify';
import { AppError } from '../core/errors.ts';
import { showableName } from '../core/number-like.ts';
import { repeatedName } from '../core/repeated-name.ts';

/** RFC 8259 §8.1. What is not UTF-8 must not become something else on the way, so it is refused and not repaired. */
const textOf = (body: Buffer): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new AppError('invalid_request', 'The body is not UTF-8.');
  }
};

const repetitionIn = (text: string): AppError | null => {
  const repeated = repeatedName(text);
  if (repeated === null) return null;
  const where = showableName(repeated) ?? 'a field';
  return new AppError('invalid_request', 'The body names a field twice.', {
    faults: [{ where, fault: 'is named twice' }],
  });
};

/**
 * JSON as the only body of this plugin's routes; it is attacker-controlled, bounded by the body limit, and refused when it
 * names `__proto__` or `constructor`, or one of its outermost fields twice. `emptyIs`: what an empty body with the content type of JSON counts as.
 */
export const acceptJson = (
  app: FastifyInstance,
  { emptyIs }: { readonly emptyIs: 'refused' | 'nothing' },
): void => {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0 && emptyIs === 'nothing') {
      done(null, undefined);
      return;
    }
    const text = textOf(body as Buffer);
    void parse(request, text, (error, parsed) => done(error ?? repetitionIn(text), parsed));
  });
};
