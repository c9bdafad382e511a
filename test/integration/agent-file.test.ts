import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAgentOptions, readSourceKey } from '../../src/agent/agent-options.ts';
import { type OpenFile, openFile } from '../../src/agent/file-digest.ts';

let folder: string;
const opened: OpenFile[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cvf-'));
});
afterEach(async () => {
  for (const file of opened.splice(0)) await file.close();
  rmSync(folder, { recursive: true });
});

const write = (name: string, bytes: Buffer | string, mode = 0o600): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes, { mode });
  return path;
};
const openOne = async (path: string | Buffer): Promise<OpenFile> => {
  const file = await openFile(path);
  if (file === null) throw new Error('no file');
  opened.push(file);
  return file;
};

describe('a file that is handed over', () => {
  test.each([0, 1, 262_144, 262_145, 900_001])(
    'of %i bytes: its digest, and the same bytes twice',
    async (size) => {
      const bytes = randomBytes(size);
      const file = await openOne(write('call.wav', bytes));
      expect(await file.digest()).toBe(createHash('sha256').update(bytes).digest('hex'));
      for (const _ of [1, 2]) expect(bytes.equals(await buffer(file.read()))).toBe(true);
      expect(await file.unchanged()).toBe(true);
    },
  );

  test('a name that is no text is found by its bytes', async () => {
    const path = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe, 0x0a])]);
    writeFileSync(path, 'x');
    expect((await openOne(path)).bytes).toBe(1);
  });

  const changes: [string, (path: string) => void][] = [
    ['grows', (path) => appendFileSync(path, 'more')],
    ['shrinks', (path) => truncateSync(path, 10)],
    ['is written over', (path) => writeFileSync(path, randomBytes(700_000))],
    [
      'is written over and its time put back',
      (path) => {
        writeFileSync(path, randomBytes(700_000));
        utimesSync(path, 1_000, 1_000);
      },
    ],
  ];
  test.each(changes)(
    'one that %s has no digest, is not read to its end, and is not the same',
    async (_, change) => {
      const path = write('call.wav', randomBytes(700_000));
      utimesSync(path, 1_000, 1_000);
      const file = await openOne(path);
      const reading = file.read()[Symbol.asyncIterator]();
      await reading.next();
      change(path);
      await expect(file.digest()).rejects.toThrow(expect.objectContaining({ code: 'ECHANGED' }));
      const rest = async () => {
        while (!(await reading.next()).done);
      };
      await expect(rest()).rejects.toThrow(expect.objectContaining({ code: 'ECHANGED' }));
      expect(await file.unchanged()).toBe(false);
    },
  );

  test('another file under its name, or none, is not it', async () => {
    const path = write('call.wav', 'one');
    const file = await openOne(path);
    renameSync(write('other', 'one'), path);
    expect(await file.unchanged()).toBe(false);
    rmSync(path);
    expect(await file.unchanged()).toBe(false);
  });

  test('links are not followed; folders, FIFOs and devices are no files, and nothing waits for them', async () => {
    symlinkSync(write('call.wav', 'x'), join(folder, 'link.wav'));
    await expect(openFile(join(folder, 'link.wav'))).rejects.toThrow(
      expect.objectContaining({ code: 'ELOOP' }),
    );
    execFileSync('mkfifo', [join(folder, 'fifo.wav')]);
    mkdirSync(join(folder, 'folder.wav'));
    for (const name of ['fifo.wav', 'folder.wav']) expect(await openFile(join(folder, name))).toBeNull();
    expect(await openFile('/dev/null')).toBeNull();
  });
});

describe('the key of a source', () => {
  test('comes from a file of its owner alone, and is never repeated', async () => {
    expect(await readSourceKey(write('key', ' cvk_secret\n'))).toBe('cvk_secret');
    for (const mode of [0o640, 0o604, 0o660, 0o644, 0o700]) {
      const wide = write(`wide-${mode}`, 'cvk_secret');
      execFileSync('chmod', [mode.toString(8), wide]);
      await expect(readSourceKey(wide)).rejects.toThrow(expect.objectContaining({ code: 'config_invalid' }));
    }
    for (const bytes of [
      '',
      'cvk_secret and more',
      'cvk_secret\nkey',
      randomBytes(600),
      Buffer.alloc(10_000, 65),
    ]) {
      const failing = readSourceKey(write('odd', bytes));
      await expect(failing).rejects.toThrow(expect.objectContaining({ code: 'config_invalid' }));
      await expect(failing).rejects.not.toThrow(/secret/);
    }
    execFileSync('mkfifo', ['-m', '600', join(folder, 'fifo')]);
    for (const path of [join(folder, 'fifo'), folder, join(folder, 'none'), '/dev/null'])
      await expect(readSourceKey(path)).rejects.toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });

  test('given to a unit by systemd with an access list, which reads like the right of a group', async () => {
    const key = write('cred', 'cvk_secret');
    execFileSync('chmod', ['440', key]);
    expect(await readSourceKey(key, { CREDENTIALS_DIRECTORY: folder })).toBe('cvk_secret');
    await expect(readSourceKey(key, { CREDENTIALS_DIRECTORY: folder.slice(0, -1) })).rejects.toThrow(/chmod/);
    await expect(readSourceKey(key, { CREDENTIALS_DIRECTORY: '' })).rejects.toThrow(/chmod/);
  });

  test('options come before the environment; what is missing is said', async () => {
    const keyFile = write('key', 'cvk_secret');
    const environment = {
      CALLVAULT_URL: 'https://b.example',
      CALLVAULT_SOURCE_KEY_FILE: keyFile,
      CALLVAULT_CA: write('ca', '-----BEGIN CERTIFICATE-----'),
    };
    expect(await readAgentOptions({ url: 'https://a.example' }, environment)).toEqual({
      url: 'https://a.example',
      apiKey: 'cvk_secret',
      ca: '-----BEGIN CERTIFICATE-----',
    });
    await expect(readAgentOptions({}, {})).rejects.toThrow(/--url/);
    await expect(readAgentOptions({ url: 'https://a.example' }, {})).rejects.toThrow(/--key-file/);
    await expect(readAgentOptions({ url: 'http://a.example', keyFile }, {})).rejects.toThrow(/plain text/);
    await expect(readAgentOptions({ ca: keyFile }, environment)).rejects.toThrow(/PEM/);
  });

  test('where Node is told to believe any certificate, nothing is sent', async () => {
    const given = { url: 'https://a.example', keyFile: write('key', 'cvk_secret') };
    const asked = (NODE_TLS_REJECT_UNAUTHORIZED: string) =>
      readAgentOptions(given, { NODE_TLS_REJECT_UNAUTHORIZED });
    await expect(asked('0')).rejects.toThrow(/^NODE_TLS_REJECT_UNAUTHORIZED is 0.*--ca.*NODE_EXTRA_CA_CERTS/);
    await expect(asked('0')).rejects.toThrow(expect.objectContaining({ code: 'config_invalid' }));
    // Node itself heeds nothing but 0.
    for (const value of ['1', '', 'false'])
      expect(await asked(value)).toMatchObject({ apiKey: 'cvk_secret' });
  });
});
