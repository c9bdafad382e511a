/** What every command answers to the shell. */
export const exitCodes = {
  /** Done, nothing found wrong. */
  clean: 0,
  /** Done, and something was found wrong. */
  findings: 1,
  /** The command was not understood. */
  usage: 2,
  /** The command could not be carried out. */
  couldNotRun: 3,
} as const;
