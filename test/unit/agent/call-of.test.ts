import { describe, expect, test } from 'vitest';
import type { CallFields } from '../../../src/agent/call-fields.ts';
import { createMetadataOf } from '../../../src/agent/call-metadata.ts';
import { createCallOf } from '../../../src/agent/import/call-of.ts';
import { createNamePattern } from '../../../src/agent/import/name-pattern.ts';
import { createLegacyNames } from '../../../src/core/legacy-names.ts';

/** Whose word counts where several tell of one call: the care unit decides who may hear it. */
const NOW = Date.UTC(2026, 0, 1);
const file = {
  bytes: 100,
  state: { dev: 1n, ino: 1n, size: 100n, mtimeNs: BigInt(Date.UTC(2015, 0, 2)) * 1_000_000n, ctimeNs: 0n },
};
const SHA = 'ab'.repeat(32);
const PATTERN = '^(?<unit>[^/]+)/(?<queue>[^_]+)_';

const imported = (path: string, said: CallFields, side: CallFields | null = null, pattern = PATTERN) => {
  const parse = createLegacyNames({ timeZone: 'UTC', now: () => NOW, custom: createNamePattern(pattern) });
  return createCallOf({ parse, said, now: () => NOW })(Buffer.from(path), file, SHA, side);
};

describe('import', () => {
  test('a side file’s care unit is not set aside by --field', () => {
    const side = { callId: 'c', careUnit: 'Psychiatry', queue: 'of-side' };
    const call = imported('Advice/q_1.wav', { careUnit: 'Advice', queue: 'all', agentId: 'a' }, side);
    expect(call).toMatchObject({ careUnit: 'Psychiatry', queue: 'of-side', agentId: 'a', callId: 'c' });
  });

  test('what --pattern reads is not either; where it reads none, --field counts', () => {
    const said = { careUnit: 'Advice', queue: 'all', retentionClass: 'r' };
    expect(imported('Psychiatry/q_1.wav', said)).toMatchObject({
      ...{ careUnit: 'Psychiatry', queue: 'q', retentionClass: 'r' },
    });
    expect(imported('beside.wav', said)).toMatchObject({ careUnit: 'Advice', queue: 'all' });
    expect(imported('Psychiatry/q_1.wav', said, { callId: 'c' })).toMatchObject({ careUnit: 'Advice' });
  });

  test('--field counts before what a habit of naming tells, and that before the time of the file', () => {
    const name = 'out-0701740605-101-20150101-101500-1420107300.1.wav';
    expect(imported(name, { direction: 'inbound' })).toMatchObject({
      ...{ direction: 'inbound', calledNumber: '0701740605', startedAt: '2015-01-01T10:15:00.000Z' },
    });
    const said = { startedAt: '2015-01-03T00:00:00.000Z', callId: 'said' };
    expect(imported('nothing.wav', said)).toMatchObject(said);
    expect(imported('nothing.wav', {})).toMatchObject({
      ...{ startedAt: '2015-01-02T00:00:00.000Z', callId: `sha256:${SHA}` },
    });
  });
});

test('push and watch: the side file, what is said of every call, the name; --call-id joins files whatever', () => {
  const said = { careUnit: 'Advice', queue: 'all', direction: 'inbound' };
  const of = createMetadataOf({ timeZone: 'UTC', root: null, said, callId: 'joined' });
  const path = Buffer.from('/spool/out-0701740605-101-20150101-101500-1420107300.1.wav');
  expect(of(path, file, SHA, null)).toMatchObject({ ...said, callId: 'joined', calledNumber: '0701740605' });
  const side = { callId: 'c', careUnit: 'Psychiatry', direction: 'outbound' };
  expect(of(path, file, SHA, side)).toMatchObject({ ...side, queue: 'all', callId: 'joined' });
});
