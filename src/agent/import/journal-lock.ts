import { createServer, type Server } from 'node:net';
import { AppError } from '../../core/errors.ts';

/** All that a name may have: shorter ones some releases of Node fill up, and others do not. One that begins with a zero byte is no file. */
const NAME_BYTES = 108;

export type JournalLock = { release(): Promise<void> };

/**
 * Lets one import at a time work with a journal: a name of the kernel's, made of the journal's inode, which goes with the process
 * in whatever way that ends and is never stale. Known on this machine and in this container alone; who writes the journal from
 * elsewhere is noticed by its length. Throws `config_invalid` when another import has it.
 */
export const lockJournal = async ({ dev, ino }: { dev: bigint; ino: bigint }): Promise<JournalLock> => {
  // Nobody is let in; who connects is hung up on.
  const server: Server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new AppError(
              'config_invalid',
              'Another import is working with this journal: wait for its end, or name another with --journal.',
            )
          : new AppError('config_invalid', `The journal cannot be locked (${error.code ?? 'unknown'}).`),
      );
    });
    server.listen(`\0callvault-import-${dev}-${ino}`.padEnd(NAME_BYTES, '.'), resolve);
  });
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
};
