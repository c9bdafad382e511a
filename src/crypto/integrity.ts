import { AppError } from '../core/errors.ts';

/** Which seal was broken; goes to the operator and the log as a closed word (docs/file-format.md §7). */
export const integrityFaults = [
  /** The envelope contradicts itself or is not in canonical form. */
  'envelope',
  /** The object is longer or shorter than its envelope says. */
  'length',
  /** The object begins with another header than the one pinned in the envelope. */
  'header',
  /** The data key is not the one the object was sealed with: a two-key object or a swapped key. */
  'key_commitment',
  /** The wrapped data key was made for another recording, organisation or generation, or was damaged. */
  'wrapped_key',
  /** A segment does not verify: damaged, swapped, moved or cut. */
  'segment',
  /** A sealed field does not verify in the place where it was found. */
  'field',
  /** A stored organisation key is damaged or lies under another's name. */
  'stored_key',
] as const;
export type IntegrityFault = (typeof integrityFaults)[number];

/** Rides as `cause` of an `integrity_failure`, so that a scrubber can name the seconds lost. */
class SealBroken extends Error {
  readonly fault: IntegrityFault;
  readonly segment: number | null;

  constructor(fault: IntegrityFault, segment: number | null) {
    super(segment === null ? fault : `${fault} ${segment}`);
    this.name = 'SealBroken';
    this.fault = fault;
    this.segment = segment;
  }
}

/** The error every broken seal ends in. One sentence for all, so that a client learns nothing about which check failed. */
export const integrityFailure = (fault: IntegrityFault, segment: number | null = null): AppError =>
  new AppError('integrity_failure', 'The stored content does not match its seal.', {
    cause: new SealBroken(fault, segment),
  });

/** What exactly was broken, for the operator's log and the scrubber; null for any other error. */
export const integrityFaultOf = (
  error: unknown,
): { readonly fault: IntegrityFault; readonly segment: number | null } | null =>
  error instanceof AppError && error.cause instanceof SealBroken
    ? { fault: error.cause.fault, segment: error.cause.segment }
    : null;
