import { createHash } from 'node:crypto';
import { AppError } from './errors.ts';
import { fieldOfText, type IngestHeaders } from './ingest-headers.ts';
import { type CallMetadata, parseTolerantly } from './metadata.ts';

/**
 * What rtpengine's recording daemon says of a recording (recording-daemon/notify.c): the call's id, the file's name, the kind
 * (`mixed` or `single`), times in seconds since 1970 with six decimals, and what whoever started the recording gave as
 * metadata of the call and of the party.
 */
const PREFIX = 'x-recording-';

/**
 * Of what metadata says in the form `field:value|field:value`; everything else in it is passed over, for it may mean anything.
 * It is free text of whoever started the recording, so what cannot be read of it must not cost the recording.
 */
const wishes = [
  'callerNumber',
  'calledNumber',
  'direction',
  'agentId',
  'queue',
  'careUnit',
  'personalNumber',
] as const;
const MAX_NAME = 255;
const MAX_CALL_ID = 256;

type Fault = { readonly where: string; readonly fault: string };

const refused = (faults: readonly Fault[]): AppError =>
  new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', { faults });

/** Node has the bytes of headers as latin-1; null when they are no UTF-8. */
const utf8Of = (value: string): string | null => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'latin1'));
  } catch {
    return null;
  }
};

/** What tells a recording apart, and when it was. A header sent twice, or in no UTF-8, is refused. */
const readerOf =
  (headers: IngestHeaders) =>
  (name: string): string | null => {
    const header = PREFIX + name;
    const received = headers[header];
    const [value = '', ...more] = typeof received === 'string' ? [received] : (received ?? []);
    if (more.length > 0) throw refused([{ where: header, fault: 'is sent more than once' }]);
    const text = utf8Of(value)?.trim();
    if (text === undefined) throw refused([{ where: header, fault: 'is not in UTF-8' }]);
    return text === '' ? null : text;
  };

const instantOf = (header: string, text: string | null): string | null => {
  if (text === null) return null;
  const match = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) throw refused([{ where: PREFIX + header, fault: 'is no time in seconds since 1970' }]);
  return new Date(Math.round(Number(text) * 1000)).toISOString();
};

type Wished = { readonly fields: Readonly<Record<string, unknown>>; readonly unread: boolean };

/** The pairs that are text, each by itself; a header sent twice says nothing for certain. */
const wishedIn = (headers: IngestHeaders, name: string): Wished => {
  const received = headers[PREFIX + name] ?? [];
  const values = typeof received === 'string' ? [received] : received;
  if (values.length > 1) return { fields: {}, unread: true };
  const fields: Record<string, unknown> = {};
  let unread = false;
  for (const bytes of values[0]?.split('|') ?? []) {
    const pair = utf8Of(bytes);
    const colon = pair?.indexOf(':') ?? -1;
    const field = wishes.find((wish) => wish === pair?.slice(0, Math.max(colon, 0)).trim());
    const value = pair?.slice(colon + 1).trim() ?? '';
    if (pair === null) unread = true;
    else if (field !== undefined && value !== '') fields[field] = fieldOfText(field, value);
  }
  return { fields, unread };
};

/**
 * The metadata of one notification. The delivery is known by call, kind and file, so that a retry is the same recording and
 * each stream of a call one of its own. Throws `not_acceptable_metadata` for what tells it apart and for its times. `now` is milliseconds since 1970.
 */
export const metadataOfRtpengine = (headers: IngestHeaders, now: number): CallMetadata => {
  const header = readerOf(headers);
  const [callId, name, kind] = [header('call-id'), header('file-name'), header('kind')];
  if (callId === null || callId.length > MAX_CALL_ID)
    throw refused([
      { where: `${PREFIX}call-id`, fault: `is required, with at most ${MAX_CALL_ID} characters` },
    ]);
  if (name === null) throw refused([{ where: `${PREFIX}file-name`, fault: 'is required' }]);
  const delivery = createHash('sha256')
    .update(JSON.stringify([callId, kind, name]))
    .digest('hex');
  const [ofCall, ofTag] = [wishedIn(headers, 'call-metadata'), wishedIn(headers, 'tag-metadata')];
  const given = {
    ...ofCall.fields,
    ...ofTag.fields,
    callId,
    deliveryId: `rtpengine ${delivery}`,
    startedAt:
      instantOf('stream-start-time', header('stream-start-time')) ??
      instantOf('call-start-time', header('call-start-time')),
    endedAt: instantOf('stream-end-time', header('stream-end-time')),
    originalName: name.slice(0, MAX_NAME).toWellFormed(),
  };
  // A clock that was set back makes a call end before it began; the sound knows how long it is.
  const said = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
  const metadata = parseTolerantly(said, [...wishes, 'endedAt'], now);
  return { ...metadata, unread: metadata.unread || ofCall.unread || ofTag.unread };
};
