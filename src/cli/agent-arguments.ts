import { InvalidArgumentError } from 'commander';
import { isField, judgeFields, readFields, secretFields } from '../agent/call-fields.ts';
import type { SideOptions } from '../agent/side-fields.ts';
import { AppError, isAppError } from '../core/errors.ts';
import { nameMayHoldNumber } from '../core/number-like.ts';
import { UsageError } from './usage.ts';

export type GivenField = readonly [name: string, value: string];

/** An id of a channel of Asterisk, which has as many figures as a telephone number. */
const UNIQUE_ID = /(?<![\d.])[12]\d{9}\.\d{1,10}(?![\d.])/g;
/** Errs towards yes, as of names in addresses. */
const holdsNumber = (text: string): boolean => nameMayHoldNumber(text.replace(UNIQUE_ID, 'x'));
/** Whose figures are times, and which nothing but times may be. */
const timeFields: ReadonlySet<string> = new Set(['startedAt', 'endedAt', 'pauses', 'segment', 'channels']);
/** The parser of options would repeat the value, on a terminal or in somebody's log. */
const unrepeated = (message: string): UsageError => new UsageError(new AppError('config_invalid', message));
/** `others`: where else than into a side file. */
const seen = (others = ''): UsageError =>
  unrepeated(
    `Others on the machine see a command line: what is or may hold a number or a name goes into a side file${others}.`,
  );
const OF_PUSH =
  ', a variable (CALLVAULT_CALL_ID, CALLVAULT_QUEUE …) or the standard input (--metadata-stdin)';

export const parseCallId = (text: string): string => {
  if (holdsNumber(text)) throw seen(OF_PUSH);
  return text;
};

/** `--field NAME=VALUE`, which may be given several times. What tells who somebody is does not belong on a command line. */
const createCollectField =
  (others?: string) =>
  (text: string, known: readonly GivenField[]): readonly GivenField[] => {
    const [, name = '', value = ''] = /^([A-Za-z]{1,40})=(.+)$/s.exec(text) ?? [];
    if (name === '') throw unrepeated('Write --field NAME=VALUE, such as careUnit=Advice.');
    if (secretFields.has(name) || (!timeFields.has(name) && holdsNumber(value))) throw seen(others);
    if (known.some(([other]) => other === name)) throw unrepeated(`--field ${name} was given twice.`);
    try {
      return [...known, ...Object.entries(judgeFields(readFields({ [name]: value })))];
    } catch (error) {
      throw unrepeated(isAppError(error) ? error.message : 'It cannot be sent.');
    }
  };

export const collectField = createCollectField();
/** The same of `push`, which can be told in other ways. */
export const collectPushField = createCollectField(OF_PUSH);

/** Of `--field`. */
export const FIELD =
  'said of every call, as NAME=VALUE; can be given several times; not for numbers; what the side file of a recording says counts before it';
export const SIDE_FIELD =
  'what a field is called in side files, as THEIRS=OURS; can be given several times, and what is then not known is passed over';

/** `--side-field THEIRS=OURS`, which may be given several times. */
export const collectSideField = (text: string, known: readonly GivenField[]): readonly GivenField[] => {
  const [, theirs = '', ours = ''] = /^([^=]{1,100})=([A-Za-z]{1,40})$/s.exec(text) ?? [];
  if (!isField(ours))
    throw new InvalidArgumentError(
      'Write THEIRS=OURS, such as ani=callerNumber; OURS is a field of the metadata.',
    );
  if (known.some(([other]) => other === theirs))
    throw new InvalidArgumentError('One of their fields was given twice.');
  return [...known, [theirs, ours]];
};

export const sidesOf = ({
  sideField,
  timeZone,
  field,
}: {
  readonly sideField: readonly GivenField[];
  readonly timeZone: string;
  readonly field: readonly GivenField[];
}): SideOptions => ({
  renames: new Map(sideField),
  timeZone,
  direction: field.find(([name]) => name === 'direction')?.[1],
});

/** A whole or broken number of seconds, as milliseconds. */
export const parseSeconds = (text: string): number => {
  const seconds = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= 604_800)) throw new InvalidArgumentError('Give seconds, at most a week of them.');
  return seconds * 1_000;
};

/** Longer than none: between two looks something must have had time to change, and between two tries the vault to recover. */
export const parsePause = (text: string): number => {
  const ms = parseSeconds(text);
  if (ms < 100)
    throw new InvalidArgumentError(
      'Give at least 0.1 seconds: with less, every file would count as finished.',
    );
  return ms;
};

export const parseConcurrency = (text: string): number => {
  if (!/^\d{1,2}$/.test(text) || Number(text) < 1 || Number(text) > 32)
    throw new InvalidArgumentError('Give a number from 1 to 32.');
  return Number(text);
};

export const parseMediaType = (text: string): string => {
  if (
    !/^(audio\/[\w.+!#$&^-]{1,60}|application\/octet-stream)(;[\w.+-]{1,20}=[\w.+-]{1,20}){0,4}$/.test(text)
  )
    throw new InvalidArgumentError('Write a media type, such as audio/x-slin;rate=16000;channels=2.');
  return text;
};
