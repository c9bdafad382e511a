import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readSideFields, type SideKind, type SideOptions } from '../../../src/agent/side-fields.ts';
import { isAppError } from '../../../src/core/errors.ts';

const options = (about: Partial<SideOptions> = {}): SideOptions => ({
  renames: new Map(),
  timeZone: 'Europe/Stockholm',
  ...about,
});
const read = (kind: SideKind, text: string | Buffer, about?: Partial<SideOptions>) =>
  readSideFields(kind, Buffer.from(text), options(about));
const refusal = (kind: SideKind, text: string | Buffer, about?: Partial<SideOptions>): string => {
  try {
    read(kind, text, about);
  } catch (error) {
    if (isAppError(error, 'not_acceptable_metadata')) return error.message;
    throw error;
  }
  throw new Error('it was read');
};

const NUMBER = '0701740697';
const LAUGHS = `<!DOCTYPE l [<!ENTITY a "${NUMBER}"><!ENTITY b "&a;&a;&a;&a;">]><call><callId>&b;</callId></call>`;

test.each<readonly [string, SideKind, string | Buffer, RegExp]>([
  ['a billion laughs', 'xml', LAUGHS, /document type/],
  ['an external entity', 'xml', '<!DOCTYPE c SYSTEM "file:///etc/passwd"><call/>', /document type/],
  ['a field that is not known', 'xml', `<call><n>${NUMBER}</n></call>`, /n is not known/],
  [
    'a field that is no name',
    'xml',
    `<call><n${NUMBER}/><n${NUMBER}>x</n${NUMBER}></call>`,
    /a field is not known/,
  ],
  [
    'elements in a field',
    'xml',
    `<call><queue><n>${NUMBER}</n></queue></call>`,
    /call\/queue holds elements/,
  ],
  ['a field twice', 'xml', `<call><queue>a</queue><queue>${NUMBER}</queue></call>`, /queue is named twice/],
  ['XML that is none', 'xml', `<call>${NUMBER}`, /call is not well-formed/],
  [
    'a time without end',
    'xml',
    `<c><endedAt>${'T'.repeat(250_000)}</endedAt></c>`,
    /endedAt is not in a form/,
  ],
  ['two SIPREC calls', 'xml', '<recording><session id="a"/><session id="b"/></recording>', /several calls/],
  ['two rows', 'csv', `callId,callerNumber\na,${NUMBER}\nb,${NUMBER}\n`, /line 3 is beyond the first 1 rows/],
  ['names alone', 'csv', 'callId,callerNumber\n', /no row/],
  ['nothing', 'csv', '', /names no columns/],
  [
    'fewer cells than columns',
    'csv',
    `callId,queue,callerNumber\na,${NUMBER}\n`,
    /line 2 has not as many cells/,
  ],
  ['more cells than columns', 'csv', `callId\na,${NUMBER}\n`, /line 2 has not as many cells/],
  ['a quotation mark left open', 'csv', `callId,queue\na,"${NUMBER}\n`, /quotation mark/],
  ['a column twice', 'csv', `queue,queue\na,${NUMBER}\n`, /queue is named twice/],
  [
    'a line break in a value',
    'csv',
    `callId,queue\na,"${NUMBER}\nx-call-queue: y"\n`,
    /queue is not in a form/,
  ],
  ['another encoding', 'csv', Buffer.from('queue\nR\xe5d\n', 'latin1'), /not in UTF-8/],
  ['NUL bytes', 'csv', 'queue\n\0\n', /NUL/],
  ['half of UTF-16', 'json', Buffer.from('\ufeff{"queue":"x"}', 'utf16le'), /not in UTF-8/],
])('%s (%s): refused, and no value is repeated', (_, kind, text, fault) => {
  const message = refusal(kind, text);
  expect(message).toMatch(fault);
  expect(message).not.toContain(NUMBER);
});

test('XML: one element for a field, under any prefix', () => {
  const text = `<v:call xmlns:v="urn:v"><v:callId>c</v:callId><v:queue>R&amp;d</v:queue><v:segment>3</v:segment>
    <v:channels>caller, agent</v:channels><v:agentId/></v:call>`;
  expect(read('xml', text)).toEqual({ callId: 'c', queue: 'R&d', segment: '3', channels: 'caller, agent' });
});

test('CSV: with commas or semicolons, quotes, and the mark that spreadsheets write', () => {
  const text = '\ufeffcallId;queue;callerNumber;agentId\r\n c-1 ;"Råd; ""barn""";0701740605;\r\n';
  expect(read('csv', text)).toEqual({ callId: 'c-1', queue: 'Råd; "barn"', callerNumber: '0701740605' });
});

test('SIPREC: its times are placed, its withheld number stays one, its direction comes from the options', () => {
  const oracle = readFileSync(new URL('../../fixtures/siprec/oracle.xml', import.meta.url));
  expect(read('xml', oracle, { direction: 'inbound' })).toEqual({
    callId: '00FA080100112233445566',
    startedAt: '2026-03-01T07:15:30.000Z',
    callerNumber: '0701740606',
    calledNumber: '4010',
    channels: 'agent, caller',
  });
  const withheld = oracle.toString().replace('sip:4010@pbx.example.se', 'sip:x@anonymous.invalid');
  expect(read('xml', withheld).calledNumber).toBe('anonymous');
});

describe('names of theirs', () => {
  const renames = new Map([
    ['ani', 'callerNumber'],
    ['Start Time', 'startedAt'],
  ]);
  test.each<readonly [SideKind, string]>([
    ['json', '{"ani":"0701740605","Start Time":"2026-03-01 08:15:30","queue":"q","x":{"y":1}}'],
    ['csv', 'ani,Start Time,queue,x\n0701740605,2026-03-01 08:15:30,q,1\n'],
  ])('%s: renamed, and what is not known is passed over', (kind, text) => {
    expect(read(kind, text, { renames })).toEqual({
      callerNumber: '0701740605',
      startedAt: '2026-03-01T07:15:30.000Z',
      queue: 'q',
    });
  });
  test('xml: the same, with elements that hold others', () => {
    const text = '<r><ani>0701740605</ani><legs><leg/></legs></r>';
    expect(read('xml', text, { renames })).toEqual({ callerNumber: '0701740605' });
  });
  test('theirs and ours of one field: only one can be right', () => {
    expect(refusal('json', '{"ani":"1","callerNumber":"2"}', { renames })).toMatch(
      /callerNumber is named twice/,
    );
    expect(read('json', '{"ani":"1","callerNumber":""}', { renames })).toEqual({ callerNumber: '1' });
  });
});

test.each([
  ['2026-03-01 08:15:30', '2026-03-01T07:15:30.000Z'],
  ['2026-03-01T08:15:30+0200', '2026-03-01T06:15:30.000Z'],
  ['1772349330', '2026-03-01T07:15:30.000Z'],
  ['2026-03-01T08:15:30.250+02:00', '2026-03-01T08:15:30.250+02:00'],
  ['yesterday', 'yesterday'],
])('a time %s is sent as %s', (text, sent) => {
  expect(read('csv', `endedAt\n${text}\n`)).toEqual({ endedAt: sent });
});

test('seconds since 1970 as JSON writes numbers', () => {
  for (const startedAt of ['1772349330', '"1772349330"', '1772349330.75'])
    expect(read('json', `{"callId":"c","startedAt":${startedAt}}`)).toEqual({
      callId: 'c',
      startedAt: '2026-03-01T07:15:30.000Z',
    });
  for (const startedAt of ['1772349330000', '-1', '0', '1e999', '701740697', 'true', '[1772349330]'])
    expect(
      (() => {
        try {
          return read('json', `{"startedAt":${startedAt}}`).startedAt;
        } catch (error) {
          return isAppError(error) ? error.code : error;
        }
      })(),
    ).not.toMatch(/^\d{4}-/);
});

test('JSON that is none: the place, and not what stands there', () => {
  expect(refusal('json', `{\n  "callerNumber": "${NUMBER}",\n}`)).toMatch(/line 3, column 1 is no JSON/);
  expect(refusal('json', `{"callerNumber": ${NUMBER}}`)).toMatch(/line 1, column 19 is no JSON/);
  expect(refusal('json', `{"callerNumber": "x"`)).toMatch(/ends too early/);
  expect(refusal('json', `{"queue": "a", "queue": "b"}`)).toMatch(/queue is named twice/);
});
