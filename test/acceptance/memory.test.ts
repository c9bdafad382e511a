import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyHour } from '../support/busy-hour.ts';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { peakMiBWhile, residentMiB } from '../support/resident-memory.ts';
import { putCall } from '../support/slow-clients.ts';

/** Memory of the vault's own process while it works; the same with larger numbers is `npm run bench:memory`. */
let started: CareLineVault;
beforeAll(async () => {
  started = await startCareLine();
});
afterAll(() => started?.folder.remove());

test('32 slow readers and 8 uploads at once: under 300 MB resident', async () => {
  const { peakMiB, readBytes, takenBytes } = await busyHour(started, 6);
  expect(readBytes).toBeGreaterThanOrEqual(32 * 3_650_000);
  expect(takenBytes).toBeGreaterThanOrEqual(8 * 3_650_000);
  expect(peakMiB).toBeLessThan(300e6 / 1024 ** 2);
});

test.each([true, false])(
  'an upload of 400 MB takes no more than one of 4 MB (length declared: %s)',
  async (declared) => {
    const { vault, line } = started;
    const source = { url: vault.url, token: line.apiKey };
    expect(await putCall(source, 4_000_000, declared)).toBe(201);
    const before = await residentMiB(vault.pid);
    let status = 0;
    const peak = await peakMiBWhile(vault.pid, async () => {
      status = await putCall(source, 400_000_000, declared);
    });
    expect(status).toBe(201);
    expect(peak - before).toBeLessThan(64);
  },
);
