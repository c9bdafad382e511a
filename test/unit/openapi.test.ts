import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CallMetadataSchema } from '../../src/core/metadata-schema.ts';

/** The committed description; `npm run check` holds it against the routes. */
type Media = Readonly<Record<string, { readonly schema: Record<string, unknown> }>>;
type Operation = {
  readonly requestBody?: { readonly content: Media };
  readonly parameters?: readonly {
    readonly in: string;
    readonly name: string;
    readonly required?: boolean;
  }[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Media; readonly headers?: Readonly<Record<string, unknown>> }>
  >;
};
const { paths } = JSON.parse(readFileSync(join(import.meta.dirname, '../../openapi.json'), 'utf8')) as {
  paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};
const operation = (method: string, path: string): Operation => paths[path]?.[method] as Operation;
const fields = Object.keys(CallMetadataSchema.properties);

describe('uploads', () => {
  test('the form names its parts, and every field of the metadata with its rule', () => {
    const { content } = operation('post', '/v1/recordings').requestBody ?? { content: {} };
    expect(Object.keys(content)).toEqual(['multipart/form-data']);
    const form = content['multipart/form-data']?.schema ?? {};
    const required = form.required as string[];
    const properties = form.properties as Record<
      string,
      { properties: Record<string, { description: string }> }
    >;
    expect(required).toEqual(['audio']);
    expect(Object.keys(properties)).toEqual(['metadata', 'siprec', 'sha256', 'audio']);
    expect(properties.metadata).toMatchObject({ required: ['callId'], additionalProperties: false });
    expect(Object.keys(properties.metadata?.properties ?? {})).toEqual(fields);
    for (const { description } of Object.values(properties.metadata?.properties ?? {}))
      expect(description).toMatch(/^must /);
  });

  test('the raw body has a header for every field, none of them required', () => {
    const put = operation('put', '/v1/ingest/{name}');
    expect(Object.keys(put.requestBody?.content ?? {})).toEqual(['audio/*', 'application/octet-stream']);
    const headers = put.parameters?.filter((one) => one.in === 'header') ?? [];
    expect(headers.filter(({ name }) => name.startsWith('X-Call-'))).toHaveLength(fields.length);
    expect(headers.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['X-Call-Id', 'X-Call-Caller-Number', 'X-Call-Pauses', 'Content-Digest']),
    );
    expect(headers.some(({ required }) => required === true)).toBe(false);
  });

  test.each([
    ['post', '/v1/recordings'],
    ['put', '/v1/ingest/{name}'],
  ])('%s %s says where the source asks on', (method, path) => {
    for (const status of ['200', '201'])
      expect(JSON.stringify(operation(method, path).responses[status]?.headers)).toContain('/status');
  });
});

describe('answers that are no JSON', () => {
  test.each([
    ['get', '/v1/playbacks/{id}/audio', '200', 'audio/*'],
    ['get', '/v1/playbacks/{id}/audio', '206', 'audio/*'],
    ['get', '/v1/playbacks/{id}/peaks', '200', 'application/octet-stream'],
  ])('%s %s %s is %s', (method, path, status, type) => {
    const { content } = operation(method, path).responses[status] ?? {};
    expect(Object.keys(content ?? {})).toEqual([type]);
    expect(content?.[type]?.schema).toEqual({ type: 'string', format: 'binary' });
  });
});

test('no address ends in a slash', () => {
  expect(Object.keys(paths).filter((path) => path.endsWith('/'))).toEqual([]);
});
