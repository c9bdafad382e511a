import { type Command, InvalidArgumentError } from 'commander';
import { isUuid } from '../core/ids.ts';
import { canonicalEmail, canonicalName } from '../core/names.ts';

/** Readers of arguments: what they throw is a sentence behind the option's name, and exit code 2. */

export const parseEmail = (text: string): string => {
  if (canonicalEmail(text) === null) throw new InvalidArgumentError('It is not an e-mail address.');
  return text;
};

export const parseName = (text: string): string => {
  if (canonicalName(text) === null)
    throw new InvalidArgumentError('A name is neither empty nor longer than 200 characters.');
  return text;
};

export const parseRecording = (text: string): string => {
  const id = text.toLowerCase();
  if (!isUuid(id)) throw new InvalidArgumentError('A recording is named by its id, a UUID.');
  return id;
};

export const parsePort = (text: string): string => {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new InvalidArgumentError('--port must be a number from 0 to 65535.');
  return text;
};

/** Of two values for one option one would be lost in silence. Options that collect have a list to begin with. */
export const refuseRepetition = (program: Command): void => {
  for (const command of [program, ...program.commands])
    for (const option of command.options) {
      if (Array.isArray(option.defaultValue)) continue;
      let given = 0;
      command.on(`option:${option.name()}`, () => {
        given += 1;
        if (given > 1)
          command.error(`error: option '${option.flags}' was given twice.`, { code: 'callvault.repeated' });
      });
    }
};
