/**
 * Loaded into a vault by `NODE_OPTIONS=--import`, for the counter-test of durability: files and folders whose path matches
 * UNFLUSHED, of UNFLUSHED_FROM to UNFLUSHED_TO bytes, are never flushed, and whoever asks is told that they are. The vault
 * itself is the real one.
 */
import { fstatSync, readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

const unflushed = new RegExp(process.env.UNFLUSHED ?? '^$');
const from = Number(process.env.UNFLUSHED_FROM ?? 0);
const to = Number(process.env.UNFLUSHED_TO ?? Number.POSITIVE_INFINITY);

const isMeant = (fd: number): boolean => {
  const { size } = fstatSync(fd);
  return size >= from && size <= to && unflushed.test(readlinkSync(`/proc/self/fd/${fd}`));
};

const handle = await open('/dev/null');
const prototype = Object.getPrototypeOf(handle) as Pick<FileHandle, 'sync' | 'datasync'>;
await handle.close();

for (const method of ['sync', 'datasync'] as const) {
  const real = prototype[method];
  prototype[method] = function (this: FileHandle) {
    return isMeant(this.fd) ? Promise.resolve() : real.call(this);
  };
}
