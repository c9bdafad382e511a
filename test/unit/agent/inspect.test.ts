import { expect, test } from 'vitest';
import type { OpenFile } from '../../../src/agent/file-digest.ts';
import { inspect } from '../../../src/agent/import/inspect.ts';

/** A file that is read once, from its beginning. */
const fileOf = (bytes: Buffer): OpenFile =>
  ({
    async *pieces() {
      yield bytes;
    },
  }) as unknown as OpenFile;
const kindOf = async (bytes: string, name: string) =>
  (await inspect(fileOf(Buffer.from(bytes.padEnd(600, '\x11'), 'latin1')), name)).kind;

/** One raw recording in some twenty thousand begins with two bytes that name a program or an archive elsewhere. */
test.each(['MZ', '#!\x80', '\x1f\x8b\x77', 'BZh0'])(
  'samples that begin with %j are a recording under the name of samples',
  async (bytes) => {
    for (const name of ['call.sln', 'call.sln16', 'call.alaw', 'call.ulaw', 'call.g722'])
      expect(await kindOf(bytes, name)).toBe('recording');
    for (const name of ['call.wav', 'call.mp3', 'call', 'call.exe'])
      expect(await kindOf(bytes, name)).toBe('program_or_archive');
  },
);

test.each(['\x7fELF', 'PK\x03\x04', '#!/bin/sh\n'])('%j is none under any name', async (bytes) => {
  for (const name of ['call.sln', 'call.gsm', 'call.wav', 'call'])
    expect(await kindOf(bytes, name)).toBe('program_or_archive');
});
