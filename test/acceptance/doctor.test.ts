import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newVaultFolder, type RunningVault, type VaultFolder } from '../support/vault.ts';

/** What `callvault doctor` says of a running vault is what that vault knows, whatever the shell's own settings are. */
let folder: VaultFolder;
beforeEach(async () => {
  folder = await newVaultFolder();
});
afterEach(() => folder?.remove());

type Said = {
  readonly ready: boolean;
  readonly notes: readonly string[];
  readonly findings: readonly { readonly name: string; readonly fault: string | null }[];
  readonly checkpoints: { readonly places: readonly { readonly where: string }[] } | null;
  readonly verification: {
    readonly at: string;
    readonly ok: boolean;
    readonly size: number;
    readonly by: string;
  } | null;
  readonly running: { readonly pid: number; readonly url: string } | null;
};
const ask = async (): Promise<Said & { code: number }> => {
  const { code, stdout } = await folder.cli('doctor', '--json');
  return { code, ...(JSON.parse(stdout) as Said) };
};
const faults = ({ findings }: Said) => findings.filter(({ fault }) => fault !== null);
const announced = async () =>
  JSON.parse(await readFile(join(folder.dataDir, 'instance.json'), 'utf8')) as { doctor: string };

describe('beside a vault whose settings are others than the shell’s', () => {
  let vault: RunningVault;
  const start = async (env: Record<string, string>): Promise<void> => {
    vault = await folder.start(env);
  };

  test('the floor of free space is the vault’s: not ready is not ready', async () => {
    await start({ FREE_DISK_FLOOR: String(2 ** 40) });
    const said = await ask();
    expect(said).toMatchObject({ code: 1, ready: false, running: { pid: vault.pid, url: vault.url } });
    expect(faults(said)).toContainEqual({ name: 'room', fault: 'storage_full' });
    const room = new RegExp(`MiB are free on the file system of ${folder.dataDir}.*: make room there`);
    expect(said.notes[0]).toMatch(room);
    expect(await folder.cli('doctor', '--ready')).toMatchObject({ code: 1, stdout: 'not ready\n' });

    await vault.stop();
    expect(await ask()).toMatchObject({ code: 0, ready: true, running: null });
  });

  test('checkpoints are where the vault keeps them, and nothing is made where the shell would', async () => {
    const place = join(folder.home, 'elsewhere');
    await mkdir(place, { mode: 0o700 });
    await start({ CHECKPOINT_DIR: place });
    const said = await ask();
    expect(said.checkpoints?.places.map(({ where }) => where)).toEqual([place]);
    await expect(stat(join(folder.dataDir, 'checkpoints'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('it is found on the port that it has', async () => {
    await start({});
    expect(await folder.cli('doctor', '--ready')).toMatchObject({ code: 0, stdout: 'ready\n' });
    const { stdout } = await folder.cli('doctor');
    expect(stdout.split('\n')[0]).toBe(`vault\tprocess ${vault.pid}\t${vault.url}`);
  });

  test('its socket is its user’s alone; a vault that says nothing is a finding, not in order', async () => {
    await start({});
    const { doctor } = await announced();
    expect((await stat(join(doctor, '..'))).mode & 0o077).toBe(0);
    await rm(doctor);
    const said = await ask();
    expect(said).toMatchObject({ code: 1, ready: false });
    expect(faults(said)).toEqual([{ name: 'vault', fault: 'no answer' }]);
    await vault.kill();
    await start({});
    expect(await ask()).toMatchObject({ code: 0, ready: true, running: { pid: vault.pid } });
  });
});

test('where none runs it says so, and judges by the shell’s settings', async () => {
  await (await folder.start()).stop();
  const { stdout, code } = await folder.cli('doctor');
  expect({ code, first: stdout.split('\n')[0] }).toEqual({ code: 0, first: 'vault\tnot running' });
  expect(await folder.cli('doctor', '--ready')).toMatchObject({ code: 1, stdout: 'not running\n' });
});

test('when the whole log was verified last, and what was found, beside a running vault and without one', async () => {
  const vault = await folder.start();
  expect(await ask()).toMatchObject({ code: 0, verification: null });
  const before = Date.now();
  const sound = JSON.parse((await folder.cli('verify', '--json')).stdout) as { size: number };
  const said = await ask();
  expect(said).toMatchObject({ code: 0, verification: { ok: true, size: sound.size, by: 'operator' } });
  expect(Date.parse(said.verification?.at ?? '')).toBeGreaterThanOrEqual(before);
  await vault.stop();
  expect((await folder.cli('verify', '--head', `1:${'00'.repeat(32)}`)).code).toBe(1);
  const found = await ask();
  expect(found).toMatchObject({ code: 1, ready: true, verification: { ok: false, by: 'operator' } });
  expect(faults(found)).toEqual([{ name: 'verification', fault: 'integrity_failure', advisory: true }]);
  expect(found.notes[0]).toMatch(
    /verification of the access log found a fault: npx callvault verify names it/,
  );
  expect((await folder.cli('verify')).code).toBe(0);
  const { code, stdout } = await folder.cli('doctor');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^verification\tended \S+Z\tok\t\d+ entries\tby an operator$/m);
});

test('an old bundle of wrapped keys is a finding and a metric, and the vault is ready all the same', async () => {
  await (await folder.start()).stop();
  const { where } = JSON.parse((await folder.cli('export-keys', '--json')).stdout) as { where: string };
  expect(faults(await ask())).toEqual([]);
  await rename(where, where.replace(/\/\d{8}T/, '/20200102T'));
  const said = await ask();
  expect(said).toMatchObject({ code: 1, ready: true });
  expect(faults(said)).toEqual([{ name: 'key_bundle', fault: 'old', advisory: true }]);
  expect(said.notes[0]).toMatch(/No bundle of wrapped keys .* npx callvault export-keys makes one now/);
  expect(await folder.cli('export-keys')).toMatchObject({ code: 0 });
  expect(await ask()).toMatchObject({ code: 0 });

  const vault = await folder.start({ METRICS_PORT: '0' });
  const port = /metrics on port (\d+)/.exec(vault.output())?.[1];
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const age = Date.now() / 1000 - Number(/^callvault_key_bundle_timestamp_seconds (\S+)/m.exec(metrics)?.[1]);
  expect(age).toBeGreaterThanOrEqual(0);
  expect(age).toBeLessThan(600);
  expect(metrics).toMatch(/callvault_ready\{part="key_bundle"\} 1/);
});
