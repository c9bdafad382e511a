import { exitCodes } from '../exit-codes.ts';
import { printData } from '../print.ts';
import { withResources } from '../with-resources.ts';

/** The key with which this installation signs checkpoints, for whoever verifies them or witnesses the log; not secret. */
export const logKey = async (): Promise<number> =>
  withResources(async ({ checkpoints }) => {
    printData(checkpoints.logKey);
    return exitCodes.clean;
  });
