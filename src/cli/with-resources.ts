import { type Config, readConfig, readEnvironment } from '../config.ts';
import { createLogger } from '../logger.ts';
import { type Founding, openResources, type Resources } from '../resources.ts';
import { say } from './print.ts';

/** What was not compared is no agreement: whoever asked must know of it, whatever the command is about. */
const sayNotCompared = ({ checkpoints }: Resources): void => {
  for (const { where, fault } of checkpoints.notCompared)
    say(
      `The log was not compared with the checkpoints in ${where}: ${fault} Make that reachable for this user, and run the command again.`,
    );
};

/**
 * Opens the installation beside a running vault, or by itself when none runs; closes it whatever happens. Where there is no
 * vault, most commands must not make one: in the wrong folder it would be empty, and everything in order in it.
 */
export const withResources = async (
  use: (resources: Resources, config: Config) => Promise<number>,
  founding: Founding = { mayFound: false },
): Promise<number> => {
  const config = readConfig(readEnvironment(process.cwd()));
  const resources = await openResources(config, 'command', createLogger('silent'), founding);
  try {
    sayNotCompared(resources);
    return await use(resources, config);
  } finally {
    await resources.close();
  }
};
