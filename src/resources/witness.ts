import type { NoteKey } from '../core/audit/note.ts';
import { formatNoteKey } from '../core/audit/note.ts';
import { AppError } from '../core/errors.ts';
import type { WitnessSigner } from '../crypto/witness-key.ts';
import { openWitnessServer } from '../http/witness-server.ts';
import { makeWitnessKey, readWitnessKeyFile } from '../keys/witness-key-file.ts';
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

const stateOf = async (
  { stateFile }: WitnessOptions,
  { key }: WitnessSigner,
  isNew: boolean,
): Promise<WitnessState> => {
  const state = await openWitnessState(stateFile, formatNoteKey(key), { isNew });
  if (state !== null) return state;
  throw new AppError(
    'config_invalid',
    `${stateFile} is missing, and with it what this witness has seen: put it back as it was left, or begin with a new key under another name.`,
  );
};

type Both = { readonly state: WitnessState; readonly signer: WitnessSigner };

/** The state is made first: a crash in between leaves one without a key, which the next new key takes over. */
const makeBoth = async (options: WitnessOptions, name: string): Promise<Both> => {
  const { signer, keep, forget } = makeWitnessKey(name);
  try {
    const state = await stateOf(options, signer, true);
    try {
      await keep(options.keyFile);
      return { state, signer };
    } catch (error) {
      state.close();
      throw error;
    }
  } finally {
    forget();
  }
};

/** State and key belong together: a key without its memory would cosign what contradicts what it has cosigned. */
const openBoth = async (options: WitnessOptions): Promise<Both> => {
  const { keyFile, name } = options;
  const signer = await readWitnessKeyFile(keyFile);
  if (signer !== null) return { state: await stateOf(options, signer, false), signer };
  if (name !== undefined) return makeBoth(options, name);
  throw new AppError('config_invalid', `There is no key in ${keyFile}: name the new witness with --name.`);
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
