import { describe, expect, test } from 'vitest';
import { acceptedFormat, formats } from '../../../src/http/answer-format.ts';

const accepted = (header: string | undefined) => acceptedFormat(header, formats);

describe('Accept', () => {
  test.each([
    [undefined, 'json'],
    ['', 'json'],
    ['*/*', 'json'],
    ['application/*', 'json'],
    ['application/json', 'json'],
    ['text/csv', 'csv'],
    ['TEXT/CSV; header=present; charset=utf-8', 'csv'],
    ['text/*', 'csv'],
    ['application/x-ndjson', 'ndjson'],
    ['application/ndjson', 'ndjson'],
    ['application/jsonl', 'ndjson'],
    ['application/fhir+ndjson', 'fhir'],
    ['text/csv;q=0.5, application/json;q=0.4', 'csv'],
    ['text/csv;q=0.5, application/json', 'json'],
    ['text/csv, */*;q=0.1', 'csv'],
    ['application/json;q=0, */*', 'csv'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'json'],
  ])('%j is answered with %s', (header, format) => {
    expect(accepted(header)).toBe(format);
  });

  test.each([
    'text/html',
    'image/*',
    'application/json;q=0',
    '*/*;q=0',
    'text/csv;q=0.000',
    'application/fhir+json',
    'csv',
    ',,,;;;',
    'text/csv\u0000',
    `${'text/html, '.repeat(40)}text/csv`,
    `text/csv;${'a'.repeat(2000)}`,
  ])('%j wants nothing that there is', (header) => {
    expect(accepted(header)).toBeNull();
  });

  test('is answered with what the route offers, and nothing else', () => {
    expect(acceptedFormat('application/fhir+ndjson', ['json', 'csv'])).toBeNull();
    expect(acceptedFormat('*/*', ['csv'])).toBe('csv');
  });
});
