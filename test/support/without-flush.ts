/**
 * Loaded into a vault by `NODE_OPTIONS=--import`, for the counter-test of durability: files and folders whose path matches
 * UNFLUSHED are never flushed, and whoever asks is told that they are. The vault itself is the real one.
 */
import { readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

const unflushed = new RegExp(process.env.UNFLUSHED ?? '^$');
const handle = await open('/dev/null');
const prototype = Object.getPrototypeOf(handle) as Pick<FileHandle, 'sync' | 'datasync'>;
await handle.close();

for (const method of ['sync', 'datasync'] as const) {
  const real = prototype[method];
  prototype[method] = function (this: FileHandle) {
    return unflushed.test(readlinkSync(`/proc/self/fd/${this.fd}`)) ? Promise.resolve() : real.call(this);
  };
}
