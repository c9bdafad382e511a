import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { OrganisationId } from '../../src/core/ids.ts';
import { organisationPurposes } from '../../src/crypto/key-store.ts';
import { openKeyFolder } from '../../src/keys/key-folder.ts';
import { temporaryFolder } from '../support/key-material.ts';

const SCRIPT = fileURLToPath(new URL('../support/key-folder-process.ts', import.meta.url));

const start = (directory: string, organisation: string, versions: number) => {
  const child: ChildProcess = spawn(process.execPath, [SCRIPT, directory, organisation, `${versions}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const lines = () => output.split('\n').slice(0, -1);
  return { child, lines, ended: once(child, 'close') };
};

const TIMEOUT_MS = 60_000;

test(
  'processes that make the same organisation at once end with one key set',
  async () => {
    const directory = join(await temporaryFolder(), 'keys');
    const organisation = randomUUID();
    const processes = Array.from({ length: 4 }, () => start(directory, organisation, 0));
    for (const { ended } of processes) expect(await ended).toEqual([0, null]);
    const outputs = processes.map(({ lines }) => lines());
    expect(outputs[0]?.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'kek 1',
      'field 1',
      'index 1',
      'edge 1',
    ]);
    for (const output of outputs) expect(output).toEqual(outputs[0]);
  },
  TIMEOUT_MS,
);

test(
  'killed at any moment, the folder opens again with every key that was ever used',
  async () => {
    const directory = join(await temporaryFolder(), 'keys');
    const organisation = randomUUID() as OrganisationId;
    const used = new Set<string>();
    for (let killedAfter = 1; killedAfter <= 40; killedAfter += 6) {
      const { child, lines, ended } = start(directory, organisation, 1000);
      child.stdout?.on('data', () => {
        if (lines().length >= killedAfter) child.kill('SIGKILL');
      });
      expect(await ended).toEqual([null, 'SIGKILL']);
      for (const line of lines()) used.add(line);
      const { store } = await openKeyFolder({ directory, create: false, now: Date.now });
      const there = new Set<string>();
      for (const purpose of organisationPurposes)
        for (const version of await store.versions({ organisation, purpose }))
          there.add(`${purpose} ${version} ${(await store.open({ organisation, purpose }, version)).keyId}`);
      expect([...used].filter((line) => !there.has(line))).toEqual([]);
    }
    expect(used.size).toBeGreaterThan(40);
  },
  TIMEOUT_MS,
);
