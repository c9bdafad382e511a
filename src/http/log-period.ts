import { AppError } from '../core/errors.ts';

const refused = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The search cannot be made as asked.', { faults: [{ where, fault }] });

const milliseconds = (where: string, text: string): number => {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw refused(where, 'is not a time (RFC 3339)');
  return time;
};

/** How the two ends of a period are called where they are asked for. */
type Names = { readonly from: string; readonly to: string };

/**
 * A period as the log has it, in milliseconds since 1970; `to` is not included. Throws `invalid_request` for one that ends
 * before it begins: "nothing" would be an answer that looks like a finding.
 */
export const periodOf = (
  asked: { readonly from: string | undefined; readonly to: string | undefined },
  names: Names = { from: 'from', to: 'to' },
): { readonly from?: number; readonly to?: number } => {
  const from = asked.from === undefined ? undefined : milliseconds(names.from, asked.from);
  const to = asked.to === undefined ? undefined : milliseconds(names.to, asked.to);
  if (from !== undefined && to !== undefined && from > to)
    throw refused(names.from, `is later than ${names.to}`);
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
};

/** A file has no pages. A silent beginning or end in the middle would look like all there is. */
export const assertWhole = (asked: { readonly limit?: unknown; readonly cursor?: unknown }): void => {
  for (const field of ['limit', 'cursor'] as const)
    if (asked[field] !== undefined) throw refused(field, 'is of pages; a file has all there is');
};
