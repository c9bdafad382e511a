import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isAppError } from '../../../src/core/errors.ts';
import { createWallClock } from '../../../src/core/local-time.ts';
import { siprecCall } from '../../../src/core/siprec.ts';
import { parseSiprecMetadata } from '../../../src/core/siprec-metadata.ts';
import { numberOfAddress } from '../../../src/core/siprec-parties.ts';
import { readXml } from '../../../src/core/xml-document.ts';

/** Documents as the standard and four makers have them; every value is our own. */
const document = (name: string): Buffer =>
  readFileSync(new URL(`../../fixtures/siprec/${name}.xml`, import.meta.url));
const clock = createWallClock('Europe/Stockholm');
const NOW = Date.UTC(2026, 5, 1);

const fieldsOf = (bytes: Buffer, direction?: string) =>
  siprecCall(readXml(bytes), { clock, direction }).fields;
const faultsOf = (siprec: string | Buffer, metadata?: object) => {
  try {
    const said = metadata === undefined ? null : Buffer.from(JSON.stringify(metadata));
    parseSiprecMetadata(Buffer.from(siprec), said, NOW);
  } catch (error) {
    if (isAppError(error, 'not_acceptable_metadata')) return error.extras.faults;
    throw error;
  }
  return [];
};

test.each([
  [
    'rfc7865',
    {
      callId: 'ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2',
      startedAt: '2026-03-01T07:15:30.250Z',
      endedAt: '2026-03-01T07:18:00Z',
      callerNumber: '+46701740605',
      calledNumber: '+4684650040',
      channels: { 0: 'caller', 1: 'agent' },
    },
  ],
  [
    'cisco',
    {
      callId: 'e9fffff2020a598b86962867715db0cf;remote=cd0f7093d62c5f0697098fd69a4aa57b',
      startedAt: '2026-03-01T07:15:30.040Z',
      callerNumber: '0701740609',
      calledNumber: '7300',
      channels: { 0: 'caller', 1: 'agent' },
    },
  ],
  [
    'oracle',
    {
      callId: '00FA080100112233445566',
      startedAt: '2026-03-01T07:15:30.000Z',
      callerNumber: '0701740606',
      calledNumber: '4010',
      channels: { 0: 'agent', 1: 'caller' },
    },
  ],
  [
    'ribbon',
    {
      callId: '5be1d2b6-0c75-4d0f-9a7c-4b8c6f7f8a11',
      startedAt: '2026-03-01T07:15:30Z',
      callerNumber: '0701740607',
      calledNumber: '084650040',
      channels: { 0: 'caller', 1: 'agent' },
    },
  ],
  [
    'broadworks',
    {
      callId: 'urn:uuid:0d7b53ce-6f0b-4f0e-8a40-6ad9a4b0f202',
      startedAt: '2026-03-01T08:15:30+01:00',
      callerNumber: '0701740608',
      calledNumber: '+4684650040',
      channels: { 0: 'mixed' },
    },
  ],
])('%s: who, whom, when, on which channel', (name, fields) => {
  expect(fieldsOf(document(name), 'inbound')).toEqual(fields);
});

test('who is the agent is told by the direction, and by nothing else', () => {
  expect(fieldsOf(document('cisco')).channels).toEqual({ 0: 'caller', 1: 'other' });
  expect(fieldsOf(document('cisco'), 'outbound').channels).toEqual({ 0: 'agent', 1: 'other' });
});

describe('what cannot be told', () => {
  const recording = (inside: string): string => `<recording><session session_id="s1"/>${inside}</recording>`;

  test('two calls in one document: refused by the element, unless the metadata names the call', () => {
    const two = '<recording><session session_id="a"/><session session_id="b"/></recording>';
    expect(faultsOf(two)).toEqual([
      { where: 'recording/session', fault: expect.stringContaining('say callId in the part metadata') },
    ]);
    expect(faultsOf(two, { callId: 'c' })).toEqual([]);
  });

  test('two sessions of one group are one call', () => {
    const two =
      '<recording><group group_id="g"/><session session_id="a"/><session session_id="b"/></recording>';
    expect(fieldsOf(Buffer.from(two)).callId).toBe('g');
  });

  test('a time without a zone: refused where no zone is known, unless the metadata says it', () => {
    expect(faultsOf(document('oracle'))).toEqual([
      {
        where: 'recording/session/associate-time',
        fault: 'has no zone: say startedAt in the part metadata',
      },
    ]);
    expect(faultsOf(document('oracle'), { startedAt: '2026-03-01T08:15:30+01:00' })).toEqual([]);
  });

  test('values that no metadata has are named by their elements, and not repeated', () => {
    const bad = recording(
      `<participant participant_id="p"><nameID aor="sip:${'7'.repeat(200)}@x"/></participant>`,
    ).replace(
      '<session session_id="s1"/>',
      '<session><sipSessionID>x</sipSessionID><start-time>0701740699</start-time></session>',
    );
    const faults = faultsOf(bad);
    expect(faults?.map(({ where }) => where)).toEqual([
      'recording/session/start-time',
      'recording/participant/nameID',
    ]);
    expect(JSON.stringify(faults)).not.toMatch(/0701740699|777/);
  });

  test('one stream of which nobody says who speaks: no channels at all', () => {
    const silent = recording(
      '<participant participant_id="p"/><stream stream_id="t"><label>1</label></stream>',
    );
    expect(fieldsOf(Buffer.from(silent))).toEqual({ callId: 's1' });
  });

  test('no call at all: the id is required, as ever', () => {
    expect(faultsOf('<recording><session/></recording>')).toEqual([
      { where: 'callId', fault: 'is required' },
    ]);
  });

  test.each(['<html/>', '<recording><callId>c</callId></recording>', '<!DOCTYPE r><recording/>', 'no XML'])(
    '%s: no metadata of SIPREC',
    (text) => {
      expect(faultsOf(text, { callId: 'c' })).toEqual([expect.objectContaining({ where: 'siprec' })]);
    },
  );
});

test('what the metadata says holds, and its own faults keep their names', () => {
  const said = { callId: 'mine', callerNumber: '', segment: 2 };
  const read = parseSiprecMetadata(document('cisco'), Buffer.from(JSON.stringify(said)), NOW);
  expect(read).toMatchObject({ callId: 'mine', segment: 2, calledNumber: { raw: '7300' } });
  expect(read.callerNumber?.kind).toBe('withheld');
  expect(faultsOf(document('cisco'), { callId: 7 })).toEqual([
    { where: 'callId', fault: expect.any(String) },
  ]);
});

test.each([
  ['"Anna" <sip:0701740605@10.0.0.1;user=phone>;tag=x', '0701740605'],
  ['sips:%2B46701740605@host', '+46701740605'],
  ['tel:+46-70-174-06-05;phone-context=se', '+46-70-174-06-05'],
  ['0701740605@10.0.0.1', '0701740605'],
  ['sip:0701740605:secret@host', '0701740605'],
  ['sip:0701740605', '0701740605'],
  ['sip:anonymous@anonymous.invalid', ''],
  ['<sip:0701740605@anonymous.invalid>', ''],
  ['', ''],
])('%s is %s', (address, number) => {
  expect(numberOfAddress(address)).toBe(number);
});

test('a caller who withholds the number is not named by what the network asserted', () => {
  const withheld = document('oracle')
    .toString()
    .replace('<send>U1RSRUFNLVRXTy1PUkE=</send>', '<nameID aor="sip:anonymous@anonymous.invalid"/>');
  expect(fieldsOf(Buffer.from(withheld)).callerNumber).toBe('');
});
