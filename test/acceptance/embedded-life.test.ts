import { readdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { newCall } from '../support/care-line.ts';
import { isAlive, until } from '../support/child.ts';
import { keepsOneCall } from '../support/stopped-vault.ts';
import { newVaultFolder, type RunningVault } from '../support/vault.ts';
import { announced, databaseProcesses } from '../support/vault-inspection.ts';

const kept = keepsOneCall();

const killAll = (pids: readonly number[]): void => {
  for (const pid of pids)
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It was a child of one that went first.
    }
};

describe('after the vault was killed', () => {
  test('alone: its database ends with it', async () => {
    const vault = await kept.folder.start();
    await vault.kill();
    await until(async () => (await databaseProcesses(kept.folder)).length === 0);
    await kept.expectSound();
  });

  test('with everything, and the pid files now name somebody else: he is left alone', async () => {
    const vault = await kept.folder.start();
    const announcement = await announced(kept.folder);
    killAll([vault.pid, ...(await databaseProcesses(kept.folder))]);
    await vault.exited;
    await until(async () => (await databaseProcesses(kept.folder)).length === 0);
    const stale = join(kept.folder.dataDir, 'postgres/cluster/postmaster.pid');
    const lines = (await readFile(stale, 'utf8')).split('\n');
    await writeFile(stale, [String(process.pid), ...lines.slice(1)].join('\n'));
    const instance = join(kept.folder.dataDir, 'instance.json');
    await writeFile(instance, JSON.stringify({ ...announcement, pid: process.pid }));
    await kept.expectSound();
    expect((await readdir(kept.folder.dataDir)).includes('instance.json')).toBe(false);
  });
});

describe('several starts at once', () => {
  test.each([
    ['on a folder in use before', () => Promise.resolve(kept.folder)],
    ['on a folder that is not there yet', () => newVaultFolder()],
  ])('%s: one of them serves, the others are told', async (_name, folderOf) => {
    const shared = await folderOf();
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => shared.start({ PORT: '0' })));
    const started = outcomes.filter(
      (one): one is PromiseFulfilledResult<RunningVault> => one.status === 'fulfilled',
    );
    const refused = outcomes.filter((one) => one.status === 'rejected');
    expect(started).toHaveLength(1);
    for (const { reason } of refused)
      expect(String(reason)).toMatch(/Another Callvault \(.*\) works on .*: stop it first/);
    const answer = await fetch(`${started[0]?.value.url}/readyz`);
    expect(answer.status).toBe(200);
    expect(await started[0]?.value.stop()).toBe(0);
    if (shared !== kept.folder) await shared.remove();
  });
});

describe('where the folders lie', () => {
  test('a path too long for a socket: the socket lies elsewhere, for the owner only, and is gone afterwards', async () => {
    const long = await newVaultFolder();
    const env = { DATA_DIR: join(long.home, 'l'.repeat(120), 'data') };
    try {
      const vault = await long.start(env);
      const inside = { ...long, dataDir: env.DATA_DIR };
      const { socketDir } = await announced(inside);
      expect(socketDir.length).toBeLessThan(95);
      expect((await fetch(`${vault.url}/readyz`)).status).toBe(200);
      expect(await vault.stop()).toBe(0);
      await expect(readdir(socketDir)).rejects.toThrow(/ENOENT/);
    } finally {
      await long.remove();
    }
  });
});

describe('asked to end', () => {
  const expectNobodyLeft = async (pid: number): Promise<void> => {
    expect(isAlive(pid)).toBe(false);
    expect(await databaseProcesses(kept.folder)).toEqual([]);
    expect(await readdir(kept.folder.dataDir)).not.toContain('instance.json');
  };

  test('by SIGTERM: 0, and nobody is left', async () => {
    const vault = await kept.folder.start();
    expect(await vault.stop()).toBe(0);
    await expectNobodyLeft(vault.pid);
    expect(vault.output()).not.toContain('"level":60');
  });

  test('by Ctrl-C, which reaches every process of the terminal', async () => {
    // The vault leads a session of its own, as a terminal gives it; the database must not be in it.
    const vault = await kept.folder.start();
    process.kill(-vault.pid, 'SIGINT');
    expect(await vault.exited).toBe(0);
    await expectNobodyLeft(vault.pid);
  });

  test('while one uploads and stalls and another listens and does not read: 0, and the upload comes to nothing', async () => {
    const vault = await kept.folder.start();
    const { port } = new URL(vault.url);
    const socket = connect(Number(port), '127.0.0.1');
    const head = [
      'PUT /v1/ingest/stalled HTTP/1.1',
      'host: vault',
      `authorization: Bearer ${kept.line.apiKey}`,
    ];
    const rest = ['x-call-id: stalled', 'content-type: audio/wav', 'content-length: 5000000', '', ''];
    socket.write([...head, ...rest].join('\r\n'));
    socket.write(kept.call.audio.subarray(0, 300_000));
    const listener = connect(Number(port), '127.0.0.1').pause();
    // More than the system's buffers hold, so the answer is under way for as long as he does not read.
    const audioUrl = await kept.line.openPlayback(await kept.line.store(newCall(12_000_000)));
    const token = await kept.line.nurse.token();
    listener.write(`GET ${audioUrl} HTTP/1.1\r\nhost: vault\r\nauthorization: Bearer ${token}\r\n\r\n`);
    const gone = [socket, listener].map(
      (one) => new Promise((resolve) => one.on('error', resolve).on('close', resolve)),
    );
    const incoming = join(kept.folder.dataDir, 'objects/incoming');
    await until(async () => (await readdir(incoming)).length > 0);
    expect(await vault.stop()).toBe(0);
    listener.resume();
    await Promise.all(gone);
    await expectNobodyLeft(vault.pid);
    expect(await readdir(incoming)).toEqual([]);
    await kept.expectSound();
  });
});
