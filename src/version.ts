import { readFileSync } from 'node:fs';

/** The release, from package.json beside the sources or beside dist/. */
export const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};
