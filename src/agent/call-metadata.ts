import { createLegacyNames, nameless } from '../core/legacy-names.ts';
import type { CallFields } from './call-fields.ts';
import type { OpenFile } from './file-digest.ts';
import { createCallOf } from './import/call-of.ts';

export type MetadataOptions = {
  /** In which names of files tell times; null: names are not read. */
  readonly timeZone: string | null;
  /** Paths are read relative to it: also a folder's name may say something. */
  readonly root: Buffer | null;
  /** Of every call; a side file knows better. */
  readonly said: CallFields;
  /** The call that all of them belong to, whatever is said of each. */
  readonly callId?: string | undefined;
};

/** What the vault is told of a file; `side` null: it has no side file. */
export type MetadataOf = (
  path: Buffer,
  file: Pick<OpenFile, 'state' | 'bytes'>,
  sha256: string,
  side: CallFields | null,
) => CallFields;

const SLASH = 0x2f;

/**
 * From the least to the most reliable: the name of the file, where it has no side file and names are read; what is said of
 * every call; its side file; the one call of them all. The delivery is known by the digest, as it is to `import`: one file is
 * one recording, whoever delivers it.
 */
export const createMetadataOf = ({ timeZone, root, said, callId }: MetadataOptions): MetadataOf => {
  const parse = timeZone === null ? nameless : createLegacyNames({ timeZone });
  const callOf = createCallOf({ parse, said: {}, now: () => Date.now() });
  const one = callId === undefined ? {} : { callId };
  return (path, file, sha256, side) => {
    const relative =
      root === null ? path.subarray(path.lastIndexOf(SLASH) + 1) : path.subarray(root.length + 1);
    const { deliveryId = '', originalName = '', ...named } = callOf(relative, file, sha256);
    const read = side === null && timeZone !== null ? named : {};
    return { callId: deliveryId, originalName, ...read, ...said, ...side, ...one, deliveryId };
  };
};
