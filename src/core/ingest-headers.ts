import { AppError, isAppError } from './errors.ts';
import { type CallMetadata, parseMetadata } from './metadata.ts';
import { CallMetadataSchema } from './metadata-schema.ts';
import { nameMayHoldNumber } from './number-like.ts';

/**
 * The upload of one raw body, `PUT /v1/ingest/{name}`: metadata comes in `X-Call-*` headers, one per field of the
 * metadata (`careUnit` → `X-Call-Care-Unit`; `callId` → `X-Call-Id`), in UTF-8. An empty header counts as absent.
 * `X-Call-Channels: caller, agent` names the parties in order of channels; `X-Call-Pauses: 1000-2500, 9000-12000`.
 */
export type IngestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

const PREFIX = 'x-call-';
/** Of the name in an address, decoded. */
export const MAX_NAME_CHARS = 128;

const headerOf = (field: string): string =>
  field === 'callId'
    ? `${PREFIX}id`
    : PREFIX + field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The field that each header stands for; names in lower case, as Node has them. */
export const headerFields: ReadonlyMap<string, string> = new Map(
  Object.keys(CallMetadataSchema.properties).map((field) => [headerOf(field), field]),
);

/** Headers whose value is not simply the field's text. What cannot be read is passed on, to be refused with the rest. */
const readers: Readonly<Record<string, (value: string) => unknown>> = {
  segment: (value) => (/^\d{1,4}$/.test(value) ? Number(value) : value),
  channels: (value) => Object.fromEntries(list(value).map((party, channel) => [channel, party])),
  pauses: (value) =>
    list(value).map((span) => (/^\d{1,9}-\d{1,9}$/.test(span) ? span.split('-').map(Number) : span)),
};

/** Fields as text, as headers carry them, in the form that the metadata has; what cannot be read is passed on, to be refused. */
export const metadataOfTexts = (texts: Readonly<Record<string, string>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(texts).map(([field, text]) => [field, readers[field]?.(text) ?? text]));

const list = (value: string): string[] => value.split(',').map((item) => item.trim());

/** The value of a field that was sent as text, for `parseMetadata`. */
export const fieldOfText = (field: string, text: string): unknown =>
  (Object.hasOwn(readers, field) ? readers[field]?.(text) : undefined) ?? text;

/**
 * The metadata of a raw upload. `headers` are as Node received them (lower-case names, values as latin-1), preferably
 * `headersDistinct`, for a header sent twice is refused, not joined. Without `X-Call-Id` the name, less its extension, is
 * the call's id: FreeSWITCH can put the call's UUID there and nowhere else. Throws `not_acceptable_metadata`, and as
 * {@link assertOpaqueName} does.
 */
export const metadataOfPut = (name: string, headers: IngestHeaders, now: number): CallMetadata => {
  assertOpaqueName(name);
  const fields: [string, unknown][] = [['callId', name.replace(/\.[^.]*$/, '') || name]];
  const faults: Fault[] = [];
  for (const [header, received] of Object.entries(headers)) {
    if (!header.startsWith(PREFIX) || received === undefined) continue;
    const field = headerFields.get(header);
    const read = textOf(received);
    // An unknown header goes on under its own name, which the metadata then refuses.
    if (field === undefined) fields.push([header, null]);
    else if ('fault' in read) faults.push({ where: header, fault: read.fault });
    else if (read.text !== '') fields.push([field, fieldOfText(field, read.text)]);
  }
  return withFaults(faults, () => parseMetadata(Object.fromEntries(fields), now, headerOf));
};

type Fault = { readonly where: string; readonly fault: string };

/** All at once: what `read` refuses, after the faults that are known. */
const withFaults = (faults: readonly Fault[], read: () => CallMetadata): CallMetadata => {
  const refused = (all: readonly Fault[]) =>
    new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', { faults: all.slice(0, 20) });
  let metadata: CallMetadata;
  try {
    metadata = read();
  } catch (error) {
    throw isAppError(error, 'not_acceptable_metadata')
      ? refused([...faults, ...(error.extras.faults ?? [])])
      : error;
  }
  if (faults.length > 0) throw refused(faults);
  return metadata;
};

const textOf = (received: string | readonly string[]): { text: string } | { fault: string } => {
  const [value = '', ...more] = typeof received === 'string' ? [received] : received;
  if (more.length > 0) return { fault: 'is sent more than once' };
  try {
    const bytes = Buffer.from(value, 'latin1');
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim() };
  } catch {
    return { fault: 'is not in UTF-8, in which headers of a call are sent' };
  }
};

/**
 * A name in an address ends up in the logs of every proxy on the way, so it must not hold a number: whole UUIDs and hex
 * digests are fine, whatever stands around them; what else may hold one throws `number_in_name`, with the recipe. The name,
 * decoded, is attacker-controlled and never repeated.
 */
export const assertOpaqueName = (name: string): void => {
  if (name === '' || name.length > MAX_NAME_CHARS || /[\p{Cc}/\\]/u.test(name) || !name.isWellFormed()) {
    throw new AppError(
      'invalid_request',
      `The name in the address must be 1 to ${MAX_NAME_CHARS} characters without slashes or control characters.`,
    );
  }
  if (nameMayHoldNumber(name)) throw new AppError('number_in_name', RECIPE);
};

const RECIPE =
  'The name in the address may hold a number, and addresses end up in logs. Use an opaque name, such as a new UUID ' +
  '(curl -T call.wav https://…/v1/ingest/$(cat /proc/sys/kernel/random/uuid).wav), and send the number in X-Call-Caller-Number and the old name in X-Call-Original-Name.';
