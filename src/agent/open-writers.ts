import { readdir, readFile, readlink, stat, statfs } from 'node:fs/promises';
import type { Found } from './scan-folder.ts';

/** O_WRONLY and O_RDWR, the lowest bits of the octal flags. */
const WRITES = /^flags:\s*[0-7]*[12]$/m;
/** Real, effective, saved, and that by which files are made. */
const USERS = /^Uid:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$/m;
/** Ended, and not yet asked for its exit code: it has nothing open any more. */
const ENDED = /^State:\s+[ZX]/m;
const SLASH = 0x2f;

/** The magic numbers of file systems that others write as well, unseen from here, or whose owners of files say nothing. */
const FAR_TYPES: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB 2
  0x65735546, // FUSE
  0x01021997, // 9P
  0x00c36400, // Ceph
  0x5346414f, // AFS
  0x6b414653, // AFS of the kernel
  0x786f4256, // VirtualBox
  0x47504653, // GPFS
  0x0bd00bd0, // Lustre
  0x013111a8, // IBRIX
  0x7461636f, // OCFS2
  0x01161970, // GFS2
  0x4d44, // FAT
  0x2011bab0, // exFAT
]);

/** What can be known of who writes, at one moment. */
export type Sight = {
  /** Whether a process is seen to hold the file open for writing. */
  isWritten(found: Pick<Found, 'path' | 'stat'>): Promise<boolean>;
  /** Whether one might that cannot be seen: {@link isWritten} is then no proof. */
  mayBeWritten(found: Pick<Found, 'path' | 'stat'>): Promise<boolean>;
};

const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException).code ?? '');
/** The process, or its descriptor, has ended meanwhile. */
const isOver = (error: unknown): boolean => ['ENOENT', 'ESRCH'].includes(codeOf(error));
const nameOf = (path: Buffer): string => path.subarray(path.lastIndexOf(SLASH) + 1).toString('latin1');

/**
 * Descriptors of a process that are of files, by the last name of their paths: the path itself is another where the process
 * has other mounts, as in a container. Throws where the process may not be looked into.
 */
const filesOf = async (process: string): Promise<{ readonly name: string; readonly fd: string }[]> => {
  const files: { name: string; fd: string }[] = [];
  for (const fd of await readdir(`${process}/fd`)) {
    try {
      const path = await readlink(`${process}/fd/${fd}`, 'latin1');
      if (path.startsWith('/')) files.push({ name: path.slice(path.lastIndexOf('/') + 1), fd });
    } catch (error) {
      if (!isOver(error)) throw error;
    }
  }
  return files;
};

/** Who a process is that may not be looked into; null when not even that can be read. */
const usersOf = async (process: string): Promise<readonly bigint[] | null> => {
  try {
    const status = await readFile(`${process}/status`, 'latin1');
    if (ENDED.test(status)) return [];
    const users = USERS.exec(status)?.slice(1);
    return users?.map(BigInt) ?? null;
  } catch (error) {
    return isOver(error) ? [] : null;
  }
};

type Descriptor = { readonly process: string; readonly fd: string };

/** Asked of those alone whose name is the file's: most of a machine's descriptors are nobody's recording. */
const writes = async ({ process, fd }: Descriptor, known: Found['stat']): Promise<boolean> => {
  try {
    const { dev, ino } = await stat(`${process}/fd/${fd}`, { bigint: true });
    if (dev !== known.dev || ino !== known.ino) return false;
    return WRITES.test(await readFile(`${process}/fdinfo/${fd}`, 'latin1'));
  } catch (error) {
    // What was opened on a mount that has died since writes nothing any more.
    return !isOver(error) && codeOf(error) !== 'ENOTCONN';
  }
};

/** Whether a folder is, or may be, on a file system that others write as well. Null: the system does not say. */
export const isFarFolder = (folder: Buffer): Promise<boolean | null> =>
  statfs(folder).then(
    ({ type }) => FAR_TYPES.has(type >>> 0),
    () => null,
  );

const createFar = () => {
  const known = new Map<string, boolean>();
  return async (path: Buffer): Promise<boolean> => {
    const folder = path.subarray(0, Math.max(1, path.lastIndexOf(SLASH)));
    const key = folder.toString('latin1');
    const isFar = known.get(key) ?? (await isFarFolder(folder)) ?? true;
    known.set(key, isFar);
    return isFar;
  };
};

/**
 * Looks into every process of this machine that it may look into. What it may not, and whose user is the owner of the file,
 * might write that file: whoever makes a file is its owner. Root sees all of its machine, or container; anybody else the
 * processes of the same user, but those neither that have more rights nor those that began with more, as telephony systems
 * do. Where processes are hidden, and elsewhere than on Linux, every file might be written; so might one on a share.
 */
export const lookAround = async (proc = '/proc'): Promise<Sight> => {
  const files = new Map<string, Descriptor[]>();
  const unseen = new Set<bigint>();
  const pids = (await readdir(proc).catch((): string[] => [])).filter((name) => /^\d+$/.test(name));
  // The first process is always there; who does not see it is shown some only.
  let anybody = !pids.includes('1');
  for (const pid of pids) {
    const process = `${proc}/${pid}`;
    try {
      for (const { name, fd } of await filesOf(process)) {
        const known = files.get(name);
        if (known === undefined) files.set(name, [{ process, fd }]);
        else known.push({ process, fd });
      }
    } catch (error) {
      if (isOver(error)) continue;
      const users = await usersOf(process);
      if (users === null) anybody = true;
      for (const user of users ?? []) unseen.add(user);
    }
  }
  const isFar = createFar();
  return {
    async isWritten({ path, stat: known }) {
      for (const descriptor of files.get(nameOf(path)) ?? [])
        if (await writes(descriptor, known)) return true;
      return false;
    },
    mayBeWritten: async ({ path, stat: known }) => anybody || unseen.has(known.uid) || (await isFar(path)),
  };
};
