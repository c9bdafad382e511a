import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/child.ts';
import { createHttpClient } from '../support/http-client.ts';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';

/** The heads of the access log leave the process within ten seconds, at every level of its own log. */
let folder: VaultFolder;
beforeAll(async () => {
  folder = await newVaultFolder();
});
afterAll(() => folder?.remove());

type Line = { readonly level: number; readonly msg: string; readonly size?: number; readonly root?: string };
const linesOf = (output: string): Line[] =>
  output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);
const headsOf = (output: string): Line[] =>
  linesOf(output).filter(({ msg }) => msg === 'Head of the access log');

test.each(['fatal', 'error', 'warn', 'info'])(
  'LOG_LEVEL=%s: heads are written while the vault runs',
  async (level) => {
    const vault = await folder.start({ LOG_LEVEL: level });
    const http = createHttpClient(vault.url);
    try {
      const wrong = { json: { email: `nobody.${level}@example.org`, password: 'not the password' } };
      expect((await http.post('/v1/auth/login', wrong)).status).toBe(401);
      const asked = performance.now();
      await until(() => headsOf(vault.output()).length > 0);
      // To the second it is in test/unit/audit/head-report.test.ts.
      expect(performance.now() - asked).toBeLessThan(30_000);
    } finally {
      http.close();
      await vault.stop();
    }
    const [head] = headsOf(vault.output());
    expect(head).toMatchObject({ size: expect.any(Number), root: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const others = linesOf(vault.output()).filter(({ msg }) => msg !== 'Head of the access log');
    if (level !== 'info') expect(others).toEqual([]);
    // Whoever kept it can verify against it.
    const { code, stdout } = await folder.cli('verify', '--head', `${head?.size}:${head?.root}`);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok\t.*\n$/) });
  },
);
