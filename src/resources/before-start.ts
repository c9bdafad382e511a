import { type Config, readConfig, readEnvironment, readFolders, refusal } from '../config.ts';
import type { Folders } from '../config-rules.ts';
import { type AppError, isAppError } from '../core/errors.ts';
import { keyFolderFaults } from '../keys/key-folder.ts';
import { assertNamedPlace } from '../storage/checkpoint-folder.ts';
import { assertOwnDataFolder, isDataFolderTaken } from '../storage/data-folder.ts';
import { portFaults } from './ports.ts';

/** Settings that can be followed, or the refusal of those that cannot. */
const readSettings = (folder: string): Config | AppError => {
  try {
    return readConfig(readEnvironment(folder));
  } catch (error) {
    if (isAppError(error, 'config_invalid')) return error;
    throw error;
  }
};

/** What the settings are about and somebody has to mend. What is merely away is told by whoever opens it. */
const faultOf = (look: Promise<void>): Promise<readonly unknown[]> =>
  look.then(
    () => [],
    (error: unknown) => (isAppError(error, 'config_invalid') ? [error] : []),
  );

const placeFaults = async ({ dataDir, keysDir, keyFile, checkpointDir }: Folders): Promise<unknown[]> => [
  ...(await faultOf(assertOwnDataFolder(dataDir))),
  ...(await keyFolderFaults({ directory: keysDir, rootKeyFile: keyFile })),
  ...(checkpointDir === null ? [] : await faultOf(assertNamedPlace(checkpointDir))),
];

const sentenceOf = (error: unknown): string =>
  isAppError(error) ? error.message : `${(error as Error).name}: ${(error as Error).message}`;

/** Settings of which readEnvironment and readConfig had nothing to say are a Config. */
const isRefusal = (settings: Config | AppError): settings is AppError => isAppError(settings);

/**
 * The settings that `folder` and the environment give a vault that is to serve. Throws `config_invalid` with everything at
 * once that can be seen to be wrong without making anything: settings, whom the folders and key files are open to, a
 * CHECKPOINT_DIR that is not there, ports that cannot be had. Of ports nothing is said where somebody works on the data
 * folder: most often that is the same vault, and whoever opens the folder names it.
 */
export const readyToStart = async (folder: string): Promise<Config> => {
  const settings = readSettings(folder);
  const folders = isRefusal(settings) ? readFolders(folder) : settings;
  const faults = folders === null ? [] : await placeFaults(folders);
  if (isRefusal(settings)) {
    if (faults.length === 0) throw settings;
    const own = settings.extras.faults ?? [];
    throw refusal(own, faults.map(sentenceOf));
  }
  if (!isDataFolderTaken(settings.dataDir)) faults.push(...(await portFaults(settings)));
  if (faults.length === 1) throw faults[0];
  if (faults.length > 1) throw refusal([], faults.map(sentenceOf));
  return settings;
};
