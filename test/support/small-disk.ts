import { execFile } from 'node:child_process';
import { mkdir, open, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type CareLine, openCareLine } from './care-line.ts';
import { freePort } from './free-port.ts';
import { intoMountsOf, withPrivateMounts } from './private-mounts.ts';
import { ROOMY } from './scene.ts';
import { newVaultFolder, type Ran, type RunningVault, type VaultFolder } from './vault.ts';

/**
 * A vault whose data folder is a file system of its own, of a few hundred megabytes, that only it can see (a tmpfs in a
 * private mount namespace): it can be filled to the last byte and ends with the vault.
 */
export type SmallDiskVault = {
  readonly vault: RunningVault;
  readonly line: CareLine;
  /** Writes until so many bytes are free, or none. */
  fill(leaveBytes: number): Promise<void>;
  /** Takes away what `fill` wrote. */
  empty(): Promise<void>;
  /** Runs `callvault …` where the vault runs. */
  cli(...args: string[]): Promise<Ran>;
  close(): Promise<void>;
};

const LAUNCHER = join(import.meta.dirname, '../../bin/callvault.js');
/** Makes the file system, puts the installation on it, and becomes the vault. */
const SCRIPT = `mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$2"; cp -a "$3/." "$2"; shift 3; exec "$@"`;

const fillTo = async (folder: string, file: string, leaveBytes: number): Promise<void> => {
  const handle = await open(file, 'a');
  const block = Buffer.alloc(1024 * 1024);
  try {
    for (;;) {
      const { bavail, bsize } = await statfs(folder);
      const room = bavail * bsize - leaveBytes;
      if (room <= 0) return;
      await handle.write(block.subarray(0, Math.min(room, block.length)));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    await handle.close();
  }
};

export const startOnSmallDisk = async (
  bytes: number,
  env: Readonly<Record<string, string>> = {},
): Promise<SmallDiskVault> => {
  const folder = await newVaultFolder({ ...ROOMY, PORT: await freePort(), ...env });
  try {
    const first = await folder.start();
    const line = await openCareLine(folder, first.url);
    await first.stop();
    const seed = join(folder.home, 'seed');
    await rename(folder.dataDir, seed);
    await mkdir(folder.dataDir, { mode: 0o700 });
    const vault = await folder.start({}, withPrivateMounts(SCRIPT, String(bytes), folder.dataDir, seed));
    const inside = `/proc/${vault.pid}/root${folder.dataDir}`;
    const filler = join(inside, 'filler');
    return {
      vault,
      line,
      fill: (leaveBytes) => fillTo(inside, filler, leaveBytes),
      empty: () => rm(filler),
      cli: (...args) =>
        new Promise((resolve) => {
          const command = [...intoMountsOf(vault.pid), process.execPath, LAUNCHER, ...args];
          execFile('nsenter', command, { cwd: '/', env: folder.env }, (error, stdout, stderr) =>
            resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
          );
        }),
      close: () => folder.remove(),
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
};

/** As above, and then not a byte is free. The file that takes the room is the disk's own, not the vault's. */
const FULL_SCRIPT = `mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$2"; cp -a "$3/." "$2"
  cat /dev/zero > "$2/filler" 2>/dev/null || true; shift 3; exec "$@"`;

/** Runs `callvault …` where the data folder, as it is, lies on a file system that is full. */
export const runOnFullDisk = async (
  { home, dataDir, env }: VaultFolder,
  command: readonly string[],
): Promise<Ran> => {
  const seed = join(home, 'seed');
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await rename(dataDir, seed);
  await mkdir(dataDir, { mode: 0o700 });
  const wrapped = withPrivateMounts(FULL_SCRIPT, String(200 * 1024 ** 2), dataDir, seed);
  const [file = '', ...args] = [...wrapped, process.execPath, LAUNCHER, ...command];
  return new Promise((resolve) => {
    execFile(file, args, { cwd: home, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    );
  });
};
