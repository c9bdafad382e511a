import { AppError } from '../core/errors.ts';
import {
  MAX_WITNESS_KEY_BYTES,
  newWitnessKey,
  readWitnessKey,
  type WitnessSigner,
} from '../crypto/witness-key.ts';
import { createOnce, readOwnerOnly } from './owner-only-file.ts';

/**
 * The key of a witness from its file (mode 0400), or null when there is none. Throws `config_invalid` for a file that others
 * can read or that holds no such key.
 */
export const readWitnessKeyFile = async (path: string): Promise<WitnessSigner | null> => {
  const content = await readOwnerOnly(path, MAX_WITNESS_KEY_BYTES);
  if (content === null) return null;
  try {
    const signer = readWitnessKey(content);
    if (signer !== null) return signer;
    throw new AppError('config_invalid', `${path} holds no key of a witness: restore it from its backup.`);
  } finally {
    content.fill(0);
  }
};

/** A new key that is in memory alone. The caller keeps it, or forgets it. */
export type NewWitnessKey = {
  readonly signer: WitnessSigner;
  /** Makes the file, which must not be there. Throws `config_invalid` when there is one. */
  keep(path: string): Promise<void>;
  forget(): void;
};

/** Throws `config_invalid` for a name that is none. */
export const makeWitnessKey = (name: string): NewWitnessKey => {
  const { signer, content } = made(name);
  return {
    signer,
    keep: async (path) => {
      if (!(await createOnce(path, content)))
        throw new AppError('config_invalid', `${path} has been made by somebody else just now: start again.`);
    },
    forget: () => void content.fill(0),
  };
};

const made = (name: string) => {
  try {
    return newWitnessKey(name);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new AppError(
      'config_invalid',
      'The name of a witness has 1 to 255 characters, no space and no plus.',
      {
        cause,
      },
    );
  }
};
