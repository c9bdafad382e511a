import type { Static } from 'typebox';
import { AppError } from '../core/errors.ts';
import type { CallMetadataSchema } from '../core/metadata-schema.ts';
import { showableName } from '../core/number-like.ts';

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

/** An object of JSON, its fields not looked at yet. Throws as {@link readFields}. */
export const readJsonObject = (bytes: Uint8Array): Readonly<Record<string, unknown>> => {
  if (bytes.length > MAX_FIELDS_BYTES) throw refused('it', `is longer than ${MAX_FIELDS_BYTES} bytes`);
  let given: unknown;
  try {
    given = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // What the parser says repeats the input.
    throw refused('it', 'is not JSON in UTF-8');
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw refused('it', 'is no JSON object');
  return given as Record<string, unknown>;
};

/** The fields from bytes of JSON: a side file, or the standard input. */
export const readFieldsJson = (bytes: Uint8Array): CallFields => readFields(readJsonObject(bytes));

/** `callerNumber` → `CALLVAULT_CALLER_NUMBER`. */
export const variableOf = (field: CallField): string =>
  `CALLVAULT_${field.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/** The same from variables, which only the owner of the process can see. */
export const readFieldsOf = (environment: Readonly<Record<string, string | undefined>>): CallFields =>
  readFields(
    Object.fromEntries(
      callFields
        .map((field) => [field, environment[variableOf(field)] ?? ''] as const)
        .filter(([, value]) => value !== ''),
    ),
  );

/** Fields that tell who somebody is: not on a command line, where others on the machine see them. */
export const secretFields: ReadonlySet<string> = new Set<CallField>([
  'callerNumber',
  'calledNumber',
  'personalNumber',
  'originalName',
]);
