import { afterAll, beforeAll, expect, test } from 'vitest';
import { newVaultFolder, type VaultFolder } from '../support/vault.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** `callvault verify` with a role that somebody has let do too much: exactly then the answer is wanted. */
let folder: VaultFolder;
beforeAll(async () => {
  folder = await newVaultFolder();
});
afterAll(() => folder?.remove());

const asSuperuser = (text: string) => inDatabase(folder, (client) => client.query(text), 'superuser');

type Told = {
  readonly ok: boolean;
  readonly size: number;
  readonly faults: readonly { readonly kind: string; readonly message: string }[];
};
const verify = async (): Promise<Told & { readonly code: number | null }> => {
  const { stdout, code } = await folder.cli('verify', '--json');
  return { ...(JSON.parse(stdout) as Told), code };
};

test('a role that is a superuser: verify goes on and names it, everything else is refused', async () => {
  const vault = await folder.start();
  const before = await verify();
  expect(before).toMatchObject({ ok: true, code: 0 });
  await asSuperuser('ALTER ROLE callvault SUPERUSER');
  const beside = await verify();
  expect(beside).toMatchObject({ ok: false, code: 1, faults: [{ kind: 'guard' }] });
  expect(beside.faults).toHaveLength(1);
  expect(beside.faults[0]?.message).toMatch(/role callvault can do too much.*superuser callvault/);
  // Everything else was verified.
  expect(beside.size).toBeGreaterThan(before.size);
  // A fault of the log itself is told beside it.
  await asSuperuser('ALTER TABLE audit.leaf DISABLE TRIGGER refuse_change');
  const both = await verify();
  expect(both.faults.map(({ message }) => message)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/can do too much/),
      expect.stringMatching(/does not always fire/),
    ]),
  );
  await asSuperuser('ALTER TABLE audit.leaf ENABLE ALWAYS TRIGGER refuse_change');
  expect(await folder.cli('open-key', crypto.randomUUID())).toMatchObject({ code: 3 });
  await vault.stop();

  await expect(folder.start()).rejects.toThrow(/ended with 3.*can do too much to serve with/s);
  expect(await verify()).toMatchObject({ ok: false, code: 1, faults: [{ kind: 'guard' }] });
});
