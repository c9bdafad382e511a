import { type CareLineVault, newCall } from './care-line.ts';
import { peakMiBWhile } from './resident-memory.ts';
import { putCall, readSlowly } from './slow-clients.ts';

const BYTES = 3_650_000;
const READERS = 32;
const UPLOADS = 8;
/** Sixteen times as fast as it is heard, and far slower than it could be sent. */
const PACE = 256_000;

const until = async (end: number, work: () => Promise<unknown>): Promise<void> => {
  while (Date.now() < end) await work();
};

/**
 * 32 slow readers and 8 uploads at once for so many seconds. The most memory that was resident meanwhile is that of the
 * vault's own process; its database is another one, with memory of its own.
 */
export const busyHour = async ({ vault, line }: CareLineVault, seconds: number) => {
  const source = { url: vault.url, token: line.apiKey };
  const nurse = { url: vault.url, token: await line.nurse.token() };
  const recordings = await Promise.all(Array.from({ length: READERS }, () => line.store(newCall(BYTES))));
  let readBytes = 0;
  let takenBytes = 0;
  const peakMiB = await peakMiBWhile(vault.pid, async () => {
    const end = Date.now() + seconds * 1000;
    const readers = recordings.map((recording) =>
      until(end, async () => {
        const bytes = await readSlowly(nurse, await line.openPlayback(recording), PACE);
        readBytes += bytes;
      }),
    );
    const uploads = Array.from({ length: UPLOADS }, () =>
      until(end, async () => {
        const status = await putCall(source, BYTES);
        if (status !== 201) throw new Error(`an upload was answered ${status}`);
        takenBytes += BYTES;
      }),
    );
    await Promise.all([...readers, ...uploads]);
  });
  return { peakMiB, readBytes, takenBytes };
};
