import { AppError } from '../core/errors.ts';

const refused = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The search cannot be made as asked.', { faults: [{ where, fault }] });

const milliseconds = (where: string, text: string): number => {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw refused(where, 'is not a time (RFC 3339)');
  return time;
};

/** A period as the log has it, in milliseconds since 1970; `to` is not included. */
export const periodOf = (asked: {
  readonly from: string | undefined;
  readonly to: string | undefined;
}): { readonly from?: number; readonly to?: number } => ({
  ...(asked.from === undefined ? {} : { from: milliseconds('from', asked.from) }),
  ...(asked.to === undefined ? {} : { to: milliseconds('to', asked.to) }),
});

/** A file has no pages. A silent beginning or end in the middle would look like all there is. */
export const assertWhole = (asked: { readonly limit?: unknown; readonly cursor?: unknown }): void => {
  for (const field of ['limit', 'cursor'] as const)
    if (asked[field] !== undefined) throw refused(field, 'is of pages; a file has all there is');
};
