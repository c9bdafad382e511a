import { AppError } from './errors.ts';
import { fieldOfText } from './ingest-headers.ts';
import { showableName } from './number-like.ts';

/**
 * What `Upload-Metadata` (tus 1.0) says of a call: pairs of a field's name and its value in base64, in UTF-8. Names are those
 * of the metadata; values as in the `X-Call-*` headers. Clients add `filename` and `filetype` by themselves: the original
 * name, unless that is there too, and the media type.
 */
export type UploadFacts = {
  /** For `parseMetadata`, which refuses what is unknown. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly mediaType: string | null;
};

type Fault = { readonly where: string; readonly fault: string };

const MAX_FAULTS = 20;
const NAME = /^[\x21-\x2b\x2d-\x7e]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const MEDIA_TYPE = /^[\w.+!#$&^-]+\/[\w.+!#$&^-]+\s*(?:;[\x20-\x7e]*)?$/;
const MAX_MEDIA_TYPE = 128;

const textOf = (encoded: string): string | null => {
  if (!BASE64.test(encoded)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(encoded, 'base64'));
  } catch {
    return null;
  }
};

const shownName = (name: string): string => showableName(name) ?? 'an unknown field';

/** An empty value counts as absent: clients send names without values for what a browser does not know. */
const readPairs = (header: string, faults: Fault[]): Map<string, string> => {
  const given = new Map<string, string>();
  const seen = new Set<string>();
  for (const pair of header.split(',')) {
    const [name = '', encoded = '', ...more] = pair.trim().split(' ');
    const text = textOf(encoded);
    if (!NAME.test(name) || more.length > 0)
      faults.push({
        where: 'Upload-Metadata',
        fault: 'must be pairs of a name and base64, with commas between',
      });
    else if (seen.has(name)) faults.push({ where: shownName(name), fault: 'is sent more than once' });
    else if (text === null) faults.push({ where: shownName(name), fault: 'is not base64 of text in UTF-8' });
    else if (text !== '') given.set(name, text);
    seen.add(name);
  }
  return given;
};

/**
 * The header is attacker-controlled: no fault repeats a value, and no name that may hold a number. Throws
 * `not_acceptable_metadata`.
 */
export const readUploadMetadata = (header: string | undefined): UploadFacts => {
  const faults: Fault[] = [];
  const given = header === undefined || header.trim() === '' ? new Map() : readPairs(header, faults);
  const mediaType = given.get('filetype') ?? null;
  const fileName = given.get('filename');
  given.delete('filetype');
  given.delete('filename');
  if (fileName !== undefined && !given.has('originalName')) given.set('originalName', fileName);
  if (mediaType !== null && (mediaType.length > MAX_MEDIA_TYPE || !MEDIA_TYPE.test(mediaType)))
    faults.push({ where: 'filetype', fault: 'must be a media type such as audio/wav' });
  if (faults.length > 0)
    throw new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', {
      faults: faults.slice(0, MAX_FAULTS),
    });
  return {
    fields: Object.fromEntries([...given].map(([name, text]) => [name, fieldOfText(name, text)])),
    mediaType,
  };
};
