import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type DataFolder,
  findInstance,
  type Instance,
  openDataFolder,
} from '../../src/storage/data-folder.ts';
import { openSocketFolder } from '../../src/storage/socket-folder.ts';
import { type Child, runChild } from '../support/child.ts';

let home: string;
let path: string;
let open: DataFolder[];
let children: Child[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'data-'));
  path = join(home, 'data');
  open = [];
  children = [];
});
afterEach(async () => {
  for (const folder of open) await folder.close();
  for (const child of children) await child.kill();
  rmSync(home, { recursive: true, force: true });
});

const take = async (): Promise<DataFolder> => {
  const folder = await openDataFolder(path);
  open.push(folder);
  return folder;
};

const instance = (changes: Partial<Instance> = {}): Instance => ({
  doctor: null,
  pid: process.pid,
  startedAt: '2026-01-01T00:00:00.000Z',
  command: 'serve',
  url: 'http://127.0.0.1:8080',
  socketDir: '/tmp/x',
  ...changes,
});

/** A process that opens the folder and says `open` or the code of its refusal; announces when given something to say. */
const takeElsewhere = (announcement: Instance | null = null): Child => {
  const child = runChild(`
    import { openDataFolder } from './src/storage/data-folder.ts';
    try {
      const folder = await openDataFolder(${JSON.stringify(path)});
      const announcement = ${JSON.stringify(announcement)};
      if (announcement !== null) await folder.announce({ ...announcement, pid: process.pid });
      console.log('open');
      setInterval(() => undefined, 1000);
      process.on('SIGTERM', async () => { await folder.close(); process.exit(0); });
    } catch (error) {
      console.log(error.code);
    }
  `);
  children.push(child);
  return child;
};

describe('the folder', () => {
  test('is made for its owner alone, with the folders around it', async () => {
    path = join(home, 'a', 'b', 'data');
    const folder = await take();
    expect(folder.path).toBe(path);
    for (const made of [path, join(home, 'a')]) expect(statSync(made).mode & 0o777, made).toBe(0o700);
    const sub = await folder.subfolder('objects');
    expect(statSync(sub).mode & 0o777).toBe(0o700);
  });

  test('is known by its real path', async () => {
    mkdirSync(path, { mode: 0o700 });
    const link = join(home, 'link');
    symlinkSync(path, link);
    open.push(await openDataFolder(link));
    expect(open[0]?.path).toBe(path);
    await expect(openDataFolder(path)).rejects.toMatchObject({ code: 'instance_running' });
  });

  test.each([0o755, 0o750, 0o701, 0o720, 0o777])('with mode %o is refused', async (mode) => {
    mkdirSync(path);
    chmodSync(path, mode);
    await expect(take()).rejects.toThrow(/open to other users.*chmod 700/);
    expect(statSync(path).mode & 0o777).toBe(mode);
  });

  test('inside it a wider one is refused too', async () => {
    const folder = await take();
    mkdirSync(join(path, 'postgres'), { mode: 0o755 });
    await expect(folder.subfolder('postgres')).rejects.toThrow(/postgres is open to other users/);
  });

  test('that is a file is refused', async () => {
    writeFileSync(path, '');
    await expect(take()).rejects.toMatchObject({ code: 'config_invalid' });
  });

  test('that cannot be made is refused with a sentence', async () => {
    writeFileSync(join(home, 'file'), '');
    path = join(home, 'file', 'data');
    await expect(take()).rejects.toThrow(/cannot be made/);
  });

  const asRoot = process.getuid?.() === 0;
  test(asRoot ? 'of another user is refused' : 'of root is refused', async () => {
    if (asRoot) {
      mkdirSync(path, { mode: 0o700 });
      chownSync(path, 12_345, 12_345);
    } else path = '/root';
    await expect(take()).rejects.toMatchObject({ code: 'config_invalid' });
  });

  test('with a lock file that is none is refused with a sentence', async () => {
    mkdirSync(path, { mode: 0o700 });
    writeFileSync(join(path, 'instance.lock'), 'not a lock '.repeat(100));
    await expect(take()).rejects.toThrow(/instance\.lock cannot be used as a lock: remove it/);
  });
});

describe('a second instance', () => {
  test('is refused, and told who is there', async () => {
    const folder = await take();
    await expect(openDataFolder(path)).rejects.toThrow(/Another Callvault \(just starting\)/);
    await folder.announce(instance({ pid: 4711 }));
    const error = (await openDataFolder(path).catch((caught: unknown) => caught)) as Error;
    expect(error).toMatchObject({ code: 'instance_running' });
    expect(error.message).toContain(`process 4711, http://127.0.0.1:8080, since 2026-01-01T00:00:00.000Z`);
    expect(error.message).toMatch(/stop it first, or give this one a DATA_DIR of its own/);
  });

  test('in another process is refused too, and welcome after an orderly end', async () => {
    await take();
    expect(await takeElsewhere().nextLine()).toBe('instance_running');
    await open.pop()?.close();
    expect(existsSync(join(path, 'instance.json'))).toBe(false);
    expect(await takeElsewhere().nextLine()).toBe('open');
    await expect(openDataFolder(path)).rejects.toMatchObject({ code: 'instance_running' });
  });

  test('is welcome at once after a kill, and does not speak for the dead', async () => {
    const killed = takeElsewhere(instance());
    expect(await killed.nextLine()).toBe('open');
    await killed.kill('SIGKILL');
    expect(JSON.parse(readFileSync(join(path, 'instance.json'), 'utf8'))).toMatchObject({ pid: killed.pid });
    expect(await findInstance(path)).toBeNull();
    await take();
    expect(existsSync(join(path, 'instance.json'))).toBe(false);
  });

  test('of many at the same moment exactly one gets in', async () => {
    const words = await Promise.all(Array.from({ length: 8 }, () => takeElsewhere(instance()).nextLine()));
    expect(words.filter((word) => word === 'open')).toHaveLength(1);
    expect(words.filter((word) => word === 'instance_running')).toHaveLength(7);
  });

  test('waits for a command to end', async () => {
    const command = takeElsewhere(instance({ command: 'command', url: null }));
    expect(await command.nextLine()).toBe('open');
    const waiting = take();
    await command.kill('SIGTERM');
    expect((await waiting).path).toBe(path);
  });
});

describe('a command', () => {
  test('finds nobody where nobody is', async () => {
    expect(await findInstance(path)).toBeNull();
    mkdirSync(path, { mode: 0o700 });
    expect(await findInstance(path)).toBeNull();
    await (await openDataFolder(path)).close();
    expect(await findInstance(path)).toBeNull();
  });

  test('finds the vault that serves, in this process and in another', async () => {
    const folder = await take();
    await folder.announce(instance());
    expect(await findInstance(path)).toEqual(instance());
    await folder.close();
    open.pop();
    const other = takeElsewhere(instance({ socketDir: '/run/x' }));
    expect(await other.nextLine()).toBe('open');
    expect(await findInstance(path)).toEqual(instance({ pid: other.pid, socketDir: '/run/x' }));
  });

  test('looking does not let go of the lock', async () => {
    const folder = await take();
    await folder.announce(instance());
    for (let look = 0; look < 20; look += 1) await findInstance(path);
    expect(await takeElsewhere().nextLine()).toBe('instance_running');
  });

  test('looking does not keep a vault from starting', async () => {
    const looker = runChild(`
      import { findInstance } from './src/storage/data-folder.ts';
      console.log('looking');
      for (;;) await findInstance(${JSON.stringify(path)}).catch(() => undefined);
    `);
    children.push(looker);
    await looker.nextLine();
    for (let start = 0; start < 20; start += 1) {
      const folder = await openDataFolder(path);
      await folder.announce(instance());
      await folder.close();
    }
  });

  test('waits for a vault that is just starting', async () => {
    const folder = await take();
    const found = findInstance(path);
    await folder.announce(instance());
    expect(await found).toEqual(instance());
  });

  test('waits for another command, and then finds the way free', async () => {
    const folder = await take();
    await folder.announce(instance({ command: 'command' }));
    const found = findInstance(path);
    await folder.close();
    open.pop();
    expect(await found).toBeNull();
  });
});

describe('the socket\u2019s folder', () => {
  const long = () => join(home, 'x'.repeat(60), 'y'.repeat(60));
  const made: string[] = [];
  afterEach(() => {
    for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
  });
  const away = async (dataFolder = long()): Promise<string> => {
    const folder = await openSocketFolder(dataFolder);
    made.push(folder);
    return folder;
  };

  test('is in the data folder while its path is short enough', async () => {
    mkdirSync(path, { mode: 0o700 });
    expect(await openSocketFolder(path)).toBe(join(path, 'run'));
    expect(statSync(join(path, 'run')).mode & 0o777).toBe(0o700);
    expect(await openSocketFolder(path)).toBe(join(path, 'run'));
  });

  test('is at the limit of 107 bytes, counted as bytes', async () => {
    const at = (bytes: number): string => {
      const folder = join(home, 'ö'.repeat(20));
      const rest = bytes - Buffer.byteLength(`${folder}/x/run/.s.PGSQL.5432`) + 1;
      return join(folder, 'x'.repeat(rest));
    };
    mkdirSync(at(107), { recursive: true });
    expect(await openSocketFolder(at(107))).toBe(join(at(107), 'run'));
    mkdirSync(at(108), { recursive: true });
    const elsewhere = await openSocketFolder(at(108));
    made.push(elsewhere);
    expect(elsewhere).not.toContain(home);
  });

  test('is elsewhere, short, private and always the same for a long path', async () => {
    const folder = await away();
    expect(Buffer.byteLength(`${folder}/.s.PGSQL.5432`)).toBeLessThanOrEqual(107);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(await away()).toBe(folder);
    expect(await away(`${long()}2`)).not.toBe(folder);
  });

  test('is refused when somebody was there before', async () => {
    const folder = await away();
    chmodSync(folder, 0o777);
    await expect(away()).rejects.toThrow(/is not an owner-only folder of this user/);
    rmSync(folder, { recursive: true });
    mkdirSync(join(home, 'trap'), { mode: 0o700 });
    symlinkSync(join(home, 'trap'), folder);
    await expect(away()).rejects.toThrow(/is not an owner-only folder/);
    rmSync(folder);
    writeFileSync(folder, '');
    await expect(away()).rejects.toThrow(/is not an owner-only folder/);
  });

  test('is refused when it belongs to a user who is not expected', async () => {
    mkdirSync(path, { mode: 0o700 });
    await expect(openSocketFolder(path, [-5])).rejects.toThrow(/is not an owner-only folder/);
  });
});

test('a file in the place of the folder, or on the way to it, is named as what it is', async () => {
  writeFileSync(path, '');
  await expect(openDataFolder(path)).rejects.toMatchObject({ message: `${path} is not a folder.` });
  const below = join(path, 'inner');
  await expect(openDataFolder(below)).rejects.toMatchObject({
    message: `${below} cannot be made, for ${path} is not a folder.`,
  });
});
