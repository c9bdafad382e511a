import { expect, test } from 'vitest';
import { isAppError } from '../../../src/core/errors.ts';
import { parseMetadata } from '../../../src/core/metadata.ts';
import { readUploadMetadata } from '../../../src/core/upload-metadata.ts';
import { hitsIn } from '../../support/canary.ts';
import { metadataHeader } from '../../support/tus.ts';

const NOW = Date.UTC(2026, 10, 21);

const faultsOf = (header: string): readonly { where: string; fault: string }[] => {
  try {
    readUploadMetadata(header);
  } catch (error) {
    if (isAppError(error, 'not_acceptable_metadata')) return error.extras.faults ?? [];
  }
  return [];
};

test('every field as in the headers of a call, and what clients add by themselves', () => {
  const header = metadataHeader({
    callId: 'å-1',
    segment: '2',
    channels: 'caller, agent',
    pauses: '1000-2500, 9000-12000',
    startedAt: '2026-03-01T08:15:30+01:00',
    filename: 'In 1.wav',
    filetype: 'audio/wav; codecs=1',
  });
  const { fields, mediaType } = readUploadMetadata(header);
  expect(mediaType).toBe('audio/wav; codecs=1');
  expect(parseMetadata(fields, NOW)).toMatchObject({
    callId: 'å-1',
    segment: 2,
    channels: { 0: 'caller', 1: 'agent' },
    pauses: [
      [1_000, 2_500],
      [9_000, 12_000],
    ],
    originalName: 'In 1.wav',
  });
});

test('the original name stands before the file’s; what is empty counts as absent', () => {
  const both = { callId: 'x', originalName: 'own', filename: 'file', filetype: '', agentId: '' };
  expect(readUploadMetadata(metadataHeader(both))).toEqual({
    fields: { callId: 'x', originalName: 'own' },
    mediaType: null,
  });
  expect(readUploadMetadata('callId eA==,queue')).toMatchObject({ fields: { callId: 'x' } });
  for (const header of [undefined, '', '  ']) expect(readUploadMetadata(header).fields).toEqual({});
});

test.each([
  ['two values', 'callId eA== eA=='],
  ['no base64', 'callId e$=='],
  ['base64 of another alphabet', 'callId _-A='],
  ['base64 without its end', 'callId eA='],
  ['no UTF-8', 'callId gA=='],
  ['a name twice', 'callId eA==,callId eQ=='],
  ['a name that is only spaces', 'callId eA==, ,'],
  ['a control character in a name', 'call\u0001Id eA=='],
  ['a media type that is none', 'callId eA==,filetype eA=='],
])('%s is a fault', (_what, header) => {
  expect(faultsOf(header)).toHaveLength(header.endsWith(', ,') ? 2 : 1);
});

test('no fault says a number, wherever it stands; and there are never more than twenty', () => {
  const encoded = Buffer.from('070-174 06 93').toString('base64');
  const headers = [
    `0701740693 ${encoded}!`,
    `070-174-06-93 ${encoded},070-174-06-93 ${encoded}`,
    `filetype ${encoded}`,
    `callId 0701740693=`,
  ];
  for (const header of headers) {
    expect(faultsOf(header).length).toBeGreaterThan(0);
    expect(hitsIn(JSON.stringify(faultsOf(header)))).toEqual([]);
  }
  expect(faultsOf('!,'.repeat(2_000).replaceAll('!', 'a b c'))).toHaveLength(20);
});

test('names of what every object has are fields like others, and unknown ones', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    const { fields } = readUploadMetadata(metadataHeader({ callId: 'x', [`${name}`]: 'y' } as never));
    const given = name === '__proto__' ? readUploadMetadata('callId eA==,__proto__ eQ==').fields : fields;
    expect(Object.hasOwn(given, name)).toBe(true);
    expect(() => parseMetadata(given, NOW)).toThrow('cannot be accepted');
  }
});
