/** Variables as the process was given them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** For what runs beside a telephony system; a vault reads a file `.env` besides (config.ts). */
export const processEnvironment = (): Environment => process.env;
