import type { Static } from 'typebox';
import { AppError, isAppError } from '../core/errors.ts';
import { metadataOfTexts } from '../core/ingest-headers.ts';
import { jsonFault } from '../core/json-fault.ts';
import { parseMetadata } from '../core/metadata.ts';
import type { CallMetadataSchema } from '../core/metadata-schema.ts';
import { showableName } from '../core/number-like.ts';
import { canonicalPhone } from '../core/phone.ts';
import { repeatedName } from '../core/repeated-name.ts';

/**
 * What is said of a call, as text: the form in which it is sent (`segment` "1", `channels` "caller, agent", `pauses`
 * "1000-2500, 9000-12000"). Whether the values are right is for the vault to say.
 */
export type CallFields = Readonly<Record<string, string>>;
export type CallField = keyof Static<typeof CallMetadataSchema>;

const MAX_CHARS = 12_000;
export const MAX_FIELDS_BYTES = 65_536;

const asText = (value: unknown): string | null =>
  typeof value === 'string' && value.length <= MAX_CHARS && value.isWellFormed() && !/\p{Cc}/u.test(value)
    ? value
    : null;

const asInteger = (value: unknown): string | null =>
  typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : asText(value);

/** `{"0": "caller", "1": "agent"}`, without a gap, for the text names them in order. */
const asChannels = (value: unknown): string | null => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return asText(value);
  const named = Object.entries(value);
  const list = named.map((_, channel) => (value as Record<string, unknown>)[String(channel)]);
  return list.every((party) => typeof party === 'string' && /^[a-z]{1,20}$/.test(party))
    ? list.join(', ')
    : null;
};

const asPauses = (value: unknown): string | null => {
  if (!Array.isArray(value)) return asText(value);
  const isSpan = (span: unknown): span is [number, number] =>
    Array.isArray(span) && span.length === 2 && span.every((ms) => Number.isSafeInteger(ms) && ms >= 0);
  return value.length <= 500 && value.every(isSpan) ? value.map((span) => span.join('-')).join(', ') : null;
};

const readers: Readonly<Record<CallField, (value: unknown) => string | null>> = {
  callId: asText,
  deliveryId: asText,
  segment: asInteger,
  careUnit: asText,
  startedAt: asText,
  endedAt: asText,
  direction: asText,
  callerNumber: asText,
  calledNumber: asText,
  agentId: asText,
  queue: asText,
  personalNumber: asText,
  channels: asChannels,
  pauses: asPauses,
  originalName: asText,
  announcement: asText,
  retentionClass: asText,
  legalBasis: asText,
};

export const callFields = Object.keys(readers) as readonly CallField[];
export const isField = (name: string): name is CallField => Object.hasOwn(readers, name);

export const refused = (where: string, fault: string): AppError =>
  new AppError('not_acceptable_metadata', `What is said of the call cannot be sent: ${where} ${fault}.`);

/**
 * Fields from outside, which are attacker-controlled. Throws `not_acceptable_metadata`, without any value. Null and empty
 * fields are absent ones.
 */
export const readFields = (given: Readonly<Record<string, unknown>>): CallFields => {
  const fields: [string, string][] = [];
  for (const [name, value] of Object.entries(given)) {
    if (!isField(name)) throw refused(showableName(name) ?? 'a field', 'is not known');
    if (value === null || value === '') continue;
    const text = readers[name](value);
    if (text === null) throw refused(name, 'is not in a form that can be sent');
    fields.push([name, text]);
  }
  return Object.fromEntries(fields);
};

const utf8 = (bytes: Uint8Array): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw refused('it', 'is not in UTF-8');
  }
};

/** An object of JSON, its fields not looked at yet. Throws as {@link readFields}. */
export const readJsonObject = (bytes: Uint8Array): Readonly<Record<string, unknown>> => {
  if (bytes.length > MAX_FIELDS_BYTES) throw refused('it', `is longer than ${MAX_FIELDS_BYTES} bytes`);
  const text = utf8(bytes);
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    // What the parser says repeats the input.
    const fault = jsonFault(text);
    throw fault === null
      ? refused('it', 'is no JSON: it ends too early')
      : refused(`line ${fault.line}, column ${fault.column}`, 'is no JSON');
  }
  const repeated = repeatedName(text);
  if (repeated !== null) throw refused(showableName(repeated) ?? 'a field', 'is named twice');
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw refused('it', 'is no JSON object');
  return given as Record<string, unknown>;
};

/** The fields from bytes of JSON: the standard input. */
export const readFieldsJson = (bytes: Uint8Array): CallFields => readFields(readJsonObject(bytes));

const NUMBERS = ['callerNumber', 'calledNumber'] as const;
/** A word that is none of those for a withheld number, and no address either: a slip of whoever wrote it. */
const isNoNumber = (text: string): boolean =>
  canonicalPhone(text).kind === 'other' && !/[\p{Nd}@]/u.test(text);

/**
 * What a person or a script says by hand, as the vault would judge it, before anything is sent. Throws as {@link readFields};
 * `nameOf` is what the field is called there. A clock that is wrong is not judged here: it can be mended.
 */
export const judgeFields = (fields: CallFields, nameOf = (field: string): string => field): CallFields => {
  for (const field of NUMBERS)
    if (isNoNumber(fields[field] ?? ''))
      throw refused(nameOf(field), 'is no number, and none of the words for a withheld one');
  try {
    parseMetadata({ callId: '-', ...metadataOfTexts(fields) }, Date.now());
  } catch (error) {
    if (!isAppError(error, 'not_acceptable_metadata')) throw error;
    const [fault] = (error.extras.faults ?? []).filter((one) => !/\bclock\b/.test(one.fault));
    if (fault !== undefined) throw refused(nameOf(fault.where), fault.fault);
  }
  return fields;
};

/** `callerNumber` → `CALLVAULT_CALLER_NUMBER`. */
export const variableOf = (field: CallField): string =>
  `CALLVAULT_${field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/** The same from variables, which only the owner of the process can see, judged. */
export const readFieldsOf = (environment: Readonly<Record<string, string | undefined>>): CallFields =>
  judgeFields(
    readFields(
      Object.fromEntries(
        callFields
          .map((field) => [field, environment[variableOf(field)] ?? ''] as const)
          .filter(([, value]) => value !== ''),
      ),
    ),
    (field) => (isField(field) ? variableOf(field) : field),
  );

/** What else begins with CALLVAULT_: how the agent, or the vault whose installation it is of, is told something. */
const SETTINGS: ReadonlySet<string> = new Set(
  ['URL', 'SOURCE_KEY_FILE', 'CA', 'SIGNING_KEY_FILE', 'EDGE_KEY_FILE', 'FOLDER', 'TOKEN', 'DATA_DIR'].map(
    (name) => `CALLVAULT_${name}`,
  ),
);

/** Throws `config_invalid` for a variable that somebody meant for us and we would pass over: a number that never arrives. */
export const assertKnownVariables = (environment: Readonly<Record<string, string | undefined>>): void => {
  const known = [...SETTINGS, ...callFields.map(variableOf)];
  const strange = Object.keys(environment).find(
    (name) => name.startsWith('CALLVAULT_') && !known.includes(name),
  );
  if (strange === undefined) return;
  const bare = (name: string): string => name.replaceAll('_', '').toUpperCase();
  const meant = known.find((name) => bare(name) === bare(strange));
  throw new AppError(
    'config_invalid',
    `${showableName(strange) ?? 'A variable that begins with CALLVAULT_'} is no variable that is known${meant === undefined ? '' : `: write ${meant}`}.`,
  );
};

/** Fields that tell who somebody is: not on a command line, where others on the machine see them. */
export const secretFields: ReadonlySet<string> = new Set<CallField>([
  'callerNumber',
  'calledNumber',
  'personalNumber',
  'originalName',
]);
