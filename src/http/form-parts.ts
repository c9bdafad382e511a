import type { Readable } from 'node:stream';
import { Dicer } from '@fastify/busboy';
import { AppError } from '../core/errors.ts';
import { createHeaderWatch, type HeaderFault } from './part-headers.ts';

/** One part of a form as it arrives. Its headers and bytes are attacker-controlled. */
export type FormPart = {
  /** The field it is for; null when its Content-Disposition names none. */
  readonly name: string | null;
  /** Its Content-Type without parameters, in lower case; null when it has none. */
  readonly mediaType: string | null;
  /** A header by its name in lower case; sent twice, its values joined by commas (RFC 9110 §5.3). */
  header(name: string): string | undefined;
  /** Fails when the form ends, or the connection, before the part does. */
  readonly stream: Readable;
};

/** One more than there may be, so that it can be refused by name; the rest is parsed and thrown away. */
const MAX_PARTS = 5;
const MAX_HEADER_PAIRS = 20;
const MAX_HEADER_BYTES = 16 * 1024;

/** `; name=token` or `; name="quoted"`, one after the other from where the last one ended. */
const PARAMETER = /\s*;\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/y;

/** A parameter of a header's value. Quoted text is skipped as a whole: a file name cannot pass for another parameter. */
const parameterOf = (value: string, name: string): string | null => {
  const semicolon = value.indexOf(';');
  if (semicolon === -1) return null;
  PARAMETER.lastIndex = semicolon;
  for (let match = PARAMETER.exec(value); match !== null; match = PARAMETER.exec(value)) {
    const [, key, quoted, token] = match;
    if (key?.toLowerCase() === name) return quoted ?? token ?? '';
  }
  return null;
};

/** The boundary that a form's Content-Type names, of 1 to 70 characters (RFC 2046 §5.1.1); null when there is none. */
export const boundaryOf = (contentType: string): string | null => {
  const boundary = parameterOf(contentType, 'boundary');
  return boundary !== null && boundary.length >= 1 && boundary.length <= 70 ? boundary : null;
};

type Headers = Readonly<Record<string, readonly string[]>>;

const partOf = (stream: Readable, headers: Headers): FormPart => {
  const header = (name: string): string | undefined => headers[name]?.join(', ');
  const disposition = header('content-disposition') ?? '';
  const mediaType = header('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  return {
    name: /^\s*form-data\s*(?:;|$)/i.test(disposition) ? parameterOf(disposition, 'name') : null,
    mediaType: mediaType === undefined || mediaType === '' ? null : mediaType,
    header,
    stream,
  };
};

const where: Record<HeaderFault, string> = {
  filename: 'the file name of a part',
  headers: 'a header of a part',
};

const unreadable = (fault: HeaderFault): AppError =>
  new AppError(
    'invalid_request',
    `A line feed, carriage return or NUL stands in ${where[fault]}: leave it out, or write it as %0A, %0D or %00. Nothing was stored.`,
  );

/**
 * The parts of a form in their order, each a stream that has to be read to its end before the next is asked for, with its
 * headers, which the parsers of forms above Dicer keep back. `next` resolves to null after the closing boundary, or at once
 * for a body without a byte; it rejects when the form ends without one, and with `invalid_request` once a part has a header
 * that no two readers would read alike. Nothing is kept but what the streams hold, and
 * reading the source waits for who reads them.
 */
export const readForm = (source: Readable, boundary: string): { next(): Promise<FormPart | null> } => {
  const arrived: FormPart[] = [];
  let parts = 0;
  let bytes = 0;
  let end: { readonly error: Error | null } | null = null;
  let open: Readable | null = null;
  let wake: () => void = () => undefined;
  let refused: AppError | null = null;
  const faultOf = createHeaderWatch(boundary);

  const finish = (error: Error | null): void => {
    end ??= { error };
    if (error !== null) open?.destroy(error);
    wake();
  };
  const limits = { maxHeaderPairs: MAX_HEADER_PAIRS, maxHeaderSize: MAX_HEADER_BYTES };
  const dicer = new Dicer({ boundary, ...limits });
  dicer.on('part', (stream) => {
    parts += 1;
    open = stream;
    // Told once more when the part is read, to whoever reads it; here it must not end the process.
    stream.on('error', (error) => stream.destroy(error));
    if (parts > MAX_PARTS) {
      stream.resume();
      return;
    }
    stream.once('header', (headers) => {
      arrived.push(partOf(stream, headers as Headers));
      wake();
    });
  });
  dicer.once('finish', () => finish(null));
  dicer.on('error', (error) => finish(bytes === 0 ? null : error));
  source.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    const fault = refused === null ? faultOf(chunk) : null;
    if (fault === null) return;
    refused = unreadable(fault);
    finish(refused);
  });
  source.once('close', () => {
    if (!source.readableEnded) finish(new Error('the connection ended before the form did'));
  });
  source.once('error', finish);
  source.pipe(dicer);

  return {
    async next() {
      for (;;) {
        // Also before a part that came in the same piece.
        if (refused !== null) throw refused;
        const part = arrived.shift();
        if (part !== undefined) return part;
        if (end !== null) {
          if (end.error !== null) throw end.error;
          return null;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
};
