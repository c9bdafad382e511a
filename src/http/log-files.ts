import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { TSchema } from 'typebox';
import { Type } from 'typebox';
import { csvHead, csvLine, entryCells, entryColumns } from '../core/audit/csv.ts';
import { fhirAuditEvent } from '../core/audit/fhir.ts';
import type { HearingEntry } from '../services/ask-log.ts';
import type { LogExport } from '../services/export-log.ts';
import type { LogEntry } from '../services/read-log.ts';
import { type Format, mediaTypes } from './answer-format.ts';

export type FileFormat = Exclude<Format, 'json'>;

/** How a file is written: what it begins with, and one entry. */
type Writing<T> = { readonly head: string; readonly line: (entry: T) => string };

const jsonLine = (value: object): string => `${JSON.stringify(value)}\n`;

export const shownEntry = ({ seq, event }: LogEntry) => ({
  seq,
  ...event,
  at: new Date(event.at).toISOString(),
  detail: { ...event.detail },
});

export const entryWriting = (format: FileFormat, installation: string): Writing<LogEntry> => {
  switch (format) {
    case 'csv':
      return {
        head: csvHead(entryColumns),
        line: ({ seq, event }) => csvLine(entryCells(seq, event)),
      };
    case 'ndjson':
      return { head: '', line: (entry) => jsonLine(shownEntry(entry)) };
    case 'fhir':
      return { head: '', line: ({ seq, event }) => jsonLine(fhirAuditEvent(seq, event, installation)) };
  }
};

const partsCell = ({ heard }: HearingEntry): string =>
  (heard?.parts ?? []).map(([from, to]) => `${from}-${to}`).join(' ');

export const hearingWriting = (format: FileFormat, installation: string): Writing<HearingEntry> => {
  if (format === 'csv')
    return {
      head: csvHead([...entryColumns, 'heardStatements', 'heardPartCount', 'heardParts']),
      line: (entry) =>
        csvLine([
          ...entryCells(entry.seq, entry.event),
          entry.heard?.statements ?? null,
          entry.heard?.partCount ?? null,
          partsCell(entry),
        ]),
    };
  if (format === 'ndjson')
    return { head: '', line: (entry) => jsonLine({ ...shownEntry(entry), heard: entry.heard }) };
  return entryWriting(format, installation);
};

async function* written<T>({ head, line }: Writing<T>, entries: AsyncIterable<T>): AsyncGenerator<string> {
  let before = head;
  for await (const entry of entries) {
    yield before + line(entry);
    before = '';
  }
  if (before !== '') yield before;
}

/** The same, whose first text has come already, so that what is wrong with it can still be answered as a problem. */
async function* begun(first: IteratorResult<string>, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

const endings: Record<FileFormat, string> = { csv: 'csv', ndjson: 'ndjson', fhir: 'fhir.ndjson' };

/** Answers with a file, a page of entries in memory at a time. What goes wrong on the way cuts the connection. */
export const sendFile = async <T>(
  reply: FastifyReply,
  format: FileFormat,
  { count, entries }: LogExport<T>,
  writing: Writing<T>,
): Promise<FastifyReply> => {
  const lines = written(writing, entries);
  const first = await lines.next();
  return (
    reply
      .header('cache-control', 'private, no-store')
      .header('vary', 'Accept')
      .header('content-disposition', `attachment; filename="access-log.${endings[format]}"`)
      // What came can be counted: a file that was cut has fewer.
      .header('x-entry-count', String(count))
      .type(mediaTypes[format])
      .send(Readable.from(begun(first, lines)))
  );
};

const descriptions: Record<FileFormat, string> = {
  csv: 'UTF-8 with a byte order mark, `;` between cells (RFC 4180); no cell is a formula',
  ndjson: 'one JSON object on each line',
  fhir: 'one FHIR R4 AuditEvent (IHE BALP) on each line; patients by pseudonymous key only',
};

/** A 200 that is a page as JSON, or all there is as one of the files. */
export const pageOrFile = (page: TSchema, offers: readonly Format[]): TSchema =>
  ({
    description: 'A page as JSON; with another `format` or `Accept` a file with all entries, at most 100 000',
    content: Object.fromEntries(
      offers.map((format) => {
        const type = (mediaTypes[format].split(';', 1)[0] ?? '').trim();
        return [
          type,
          {
            schema: format === 'json' ? page : Type.String({ description: descriptions[format] }),
          },
        ];
      }),
    ),
  }) as unknown as TSchema;
