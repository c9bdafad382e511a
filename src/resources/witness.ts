import type { NoteKey } from '../core/audit/note.ts';
import { formatNoteKey } from '../core/audit/note.ts';
import { AppError } from '../core/errors.ts';
import type { WitnessSigner } from '../crypto/witness-key.ts';
import { openWitnessServer } from '../http/witness-server.ts';
import { makeWitnessKeyFile, readWitnessKeyFile } from '../keys/witness-key-file.ts';
import { createWitness } from '../services/witness-logs.ts';
import { openWitnessState, type WitnessState } from '../storage/witness-state.ts';

export type WitnessOptions = {
  readonly stateFile: string;
  readonly keyFile: string;
  /** Only for a new witness: under which name it signs. */
  readonly name?: string;
  readonly logs: readonly NoteKey[];
  readonly host: string;
  readonly port: number;
  readonly onError: (error: unknown) => void;
};

export type RunningWitness = {
  readonly key: string;
  readonly port: number;
  readonly close: () => Promise<void>;
};

/**
 * State and key belong together: a key without its memory would cosign what contradicts what it has cosigned. So the state
 * is made first, and only together with a key.
 */
const openBoth = async ({
  stateFile,
  keyFile,
  name,
}: WitnessOptions): Promise<{ state: WitnessState; signer: WitnessSigner }> => {
  const known = await readWitnessKeyFile(keyFile);
  if (known === null && name === undefined)
    throw new AppError('config_invalid', `There is no key in ${keyFile}: name the new witness with --name.`);
  const state = await openWitnessState(stateFile, { create: known === null });
  if (state === null)
    throw new AppError(
      'config_invalid',
      `${stateFile} is missing, and with it what this witness has seen: restore it, or begin with a new key under another name.`,
    );
  try {
    return { state, signer: known ?? (await makeWitnessKeyFile(keyFile, name as string)) };
  } catch (error) {
    state.close();
    throw error;
  }
};

/** Opens state and key, and listens. Throws `config_invalid` with a sentence for what is wrong. */
export const openWitness = async (options: WitnessOptions): Promise<RunningWitness> => {
  const { state, signer } = await openBoth(options);
  try {
    const witness = createWitness({ state, signer, logs: options.logs, now: Date.now });
    const server = await openWitnessServer(witness, options);
    return {
      key: formatNoteKey(signer.key),
      port: server.port,
      close: async () => {
        await server.close();
        state.close();
      },
    };
  } catch (error) {
    state.close();
    throw error;
  }
};
