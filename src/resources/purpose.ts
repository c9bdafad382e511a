/** For whom things are opened: the vault itself, or a command, which may find the vault running. */
export type Purpose = 'serve' | 'command';

/** The clock of the process: everything else is given it. */
export const now = (): number => Date.now();
