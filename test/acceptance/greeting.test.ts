import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/child.ts';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string;
};

/** What a person reads when the vault has started, and what doctor admits. */
let folder: VaultFolder;
beforeAll(async () => {
  folder = await newVaultFolder();
});
afterAll(() => folder?.remove());

/** Everything printed that is not a line of the log. */
const said = (output: string): string[] =>
  output.split('\n').filter((line) => line !== '' && !line.startsWith('{'));

const fiveLines = (address: string, metrics = ''): string[] => [
  `Callvault ${version} on ${address}${metrics}`,
  `  data: ${folder.dataDir} (PostgreSQL of its own, objects as files)`,
  `  keys: back up ${folder.keysDir}/root.key and ${folder.keysDir}/keyring, apart from the data: without them every recording is lost`,
  `  access log: checkpoints in ${folder.dataDir}/checkpoints (on the same file system as the data): no second place, so a database superuser could cut it unnoticed; see CHECKPOINT_DIR`,
  '  first admin: npx callvault admin-create --organisation "Region Example" --email you@example.org',
];

test('the first start says in five lines what it did, what to back up and what to do next; so does every other', async () => {
  for (const _start of ['first', 'second']) {
    const vault = await folder.start();
    await vault.stop();
    expect(said(vault.output())).toEqual(fiveLines(vault.url));
  }
});

test('an INSTALLATION_NAME that differs from the one it was made with is told at the start', async () => {
  const vault = await folder.start({ INSTALLATION_NAME: 'another.example.org' });
  await vault.stop();
  expect(vault.output()).toContain('INSTALLATION_NAME (another.example.org) does not rename it');
  const same = await folder.start();
  await same.stop();
  expect(same.output()).not.toContain('does not rename it');
});

test('when somebody can sign in, the last line is about something else', async () => {
  const other = await newVaultFolder();
  try {
    expect(await other.cli('admin-create', '--email', 'a@example.org')).toMatchObject({ code: 0 });
    const vault = await other.start();
    await vault.stop();
    expect(said(vault.output())).toHaveLength(5);
    expect(said(vault.output())[4]).toMatch(/^ {2}in order: npx callvault doctor/);
  } finally {
    await other.remove();
  }
});

test('with metrics it says on which port they are', async () => {
  const vault = await folder.start({ METRICS_PORT: '0' });
  await vault.stop();
  const port = /metrics on port (\d+)$/m.exec(vault.output())?.[1];
  expect(Number(port)).toBeGreaterThan(0);
  expect(said(vault.output())).toEqual(fiveLines(vault.url, `, metrics on port ${port}`));
});

test('the command of its last line makes an administrator as it stands', async () => {
  const vault = await folder.start();
  await until(() => /first admin: .*\n/.test(vault.output()));
  const command = /first admin: npx callvault (.*)$/m.exec(vault.output())?.[1] ?? '';
  const args = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  const { code, stdout } = await folder.cli(...args);
  await vault.stop();
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('you@example.org') });
});

test('doctor says that no second place keeps checkpoints', async () => {
  const note =
    'No second place keeps checkpoints of the access log: a database superuser could cut its tail unnoticed.';
  const plain = await folder.cli('doctor');
  expect({ code: plain.code, lines: plain.stdout.split('\n') }).toMatchObject({
    code: 0,
    lines: expect.arrayContaining([`note\t${note}`]),
  });
  expect(JSON.parse((await folder.cli('doctor', '--json')).stdout)).toMatchObject({ notes: [note] });
});
