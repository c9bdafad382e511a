import { createHash } from 'node:crypto';
import { AppError } from './errors.ts';
import { fieldOfText, type IngestHeaders } from './ingest-headers.ts';
import { type CallMetadata, parseMetadata } from './metadata.ts';

/**
 * What rtpengine's recording daemon says of a recording (recording-daemon/notify.c): the call's id, the file's name, the kind
 * (`mixed` or `single`), times in seconds since 1970 with six decimals, and what whoever started the recording gave as
 * metadata of the call and of the party.
 */
const PREFIX = 'x-recording-';

/** Of what metadata says in the form `field:value|field:value`; everything else in it is passed over, for it may mean anything. */
const fields = [
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

/** Values as Node received them: latin-1. A header sent twice, or in no UTF-8, is refused. */
const readerOf =
  (headers: IngestHeaders) =>
  (name: string): string | null => {
    const header = PREFIX + name;
    const received = headers[header];
    const [value = '', ...more] = typeof received === 'string' ? [received] : (received ?? []);
    if (more.length > 0) throw refused([{ where: header, fault: 'is sent more than once' }]);
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'latin1')).trim();
      return text === '' ? null : text;
    } catch {
      throw refused([{ where: header, fault: 'is not in UTF-8' }]);
    }
  };

const instantOf = (header: string, text: string | null): string | null => {
  if (text === null) return null;
  const match = /^(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) throw refused([{ where: PREFIX + header, fault: 'is no time in seconds since 1970' }]);
  return new Date(Math.round(Number(text) * 1000)).toISOString();
};

const metadataFields = (text: string | null): Record<string, unknown> => {
  const found: Record<string, unknown> = {};
  for (const pair of text?.split('|') ?? []) {
    const colon = pair.indexOf(':');
    const field = fields.find((known) => known === pair.slice(0, Math.max(colon, 0)).trim());
    const value = pair.slice(colon + 1).trim();
    if (field !== undefined && value !== '') found[field] = fieldOfText(field, value);
  }
  return found;
};

/**
 * The metadata of one notification. The delivery is known by call, kind and file, so that a retry is the same recording and
 * each stream of a call one of its own. Throws `not_acceptable_metadata`. `now` is milliseconds since 1970.
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
  const given = {
    ...metadataFields(header('call-metadata')),
    ...metadataFields(header('tag-metadata')),
    callId,
    deliveryId: `rtpengine ${delivery}`,
    startedAt:
      instantOf('stream-start-time', header('stream-start-time')) ??
      instantOf('call-start-time', header('call-start-time')),
    endedAt: instantOf('stream-end-time', header('stream-end-time')),
    originalName: name.slice(0, MAX_NAME).toWellFormed(),
  };
  return parseMetadata(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null)), now);
};
