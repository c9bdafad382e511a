import { AppError } from '../core/errors.ts';

/** A 400 that names the field; `fault` never repeats the value. */
export const invalid = (where: string, fault: string): AppError =>
  new AppError('invalid_request', 'The request does not have the documented form.', {
    faults: [{ where, fault }],
  });

/** The value, or the fault of a field that has none. */
export const orFault = <T>(value: T | null, where: string, fault: string): T => {
  if (value === null) throw invalid(where, fault);
  return value;
};
