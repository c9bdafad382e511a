import { type Config, readConfig, readEnvironment } from '../config.ts';
import { createLogger } from '../logger.ts';
import { openResources, type Resources } from '../resources.ts';

/** Opens the installation beside a running vault, or by itself when none runs; closes it whatever happens. */
export const withResources = async (
  use: (resources: Resources, config: Config) => Promise<number>,
): Promise<number> => {
  const config = readConfig(readEnvironment(process.cwd()));
  const resources = await openResources(config, 'command', createLogger('silent'));
  try {
    return await use(resources, config);
  } finally {
    await resources.close();
  }
};
