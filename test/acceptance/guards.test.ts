import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newVaultFolder, type RunningVault, type VaultFolder } from '../support/vault.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** A superuser leaves every entry as it is, and changes what guards them: what the vault's operator is told. */
let folder: VaultFolder;
let vault: RunningVault;
beforeEach(async () => {
  folder = await newVaultFolder();
  vault = await folder.start();
});
afterEach(() => folder?.remove());

const superuser = (...statements: readonly string[]): Promise<void> =>
  inDatabase(
    folder,
    async (client) => {
      for (const statement of statements) await client.query(statement);
    },
    'superuser',
  );

const doctor = async () => {
  const { code, stdout } = await folder.cli('doctor', '--json');
  const { findings, notes, ready } = JSON.parse(stdout) as {
    ready: boolean;
    notes: readonly string[];
    findings: readonly { readonly name: string; readonly fault: string | null }[];
  };
  return { code, ready, notes: notes.join('\n'), found: findings.filter(({ fault }) => fault !== null) };
};

const cases = [
  {
    what: 'row security that hides an entry from some questions',
    make: [
      'ALTER TABLE audit.entry ENABLE ROW LEVEL SECURITY',
      `CREATE POLICY hide ON audit.entry FOR SELECT USING (seq <> 3 OR current_query() !~ 'recording|actor')`,
    ],
    told: /Policy hide of audit\.entry does not belong there/,
  },
  {
    what: 'guards switched off',
    make: [
      'ALTER TABLE audit.leaf DISABLE TRIGGER refuse_truncate',
      'ALTER TABLE audit.node DISABLE TRIGGER refuse_change',
    ],
    told: /Trigger refuse_truncate of audit\.leaf does not always fire.*Trigger refuse_change of audit\.node/s,
  },
];

describe.each(cases)('H-5 $what', ({ make, told }) => {
  test('verify says so with exit code 1, doctor does, and the vault does not start again', async () => {
    await superuser(...make);
    const verified = await folder.cli('verify');
    expect(verified).toMatchObject({ code: 1, stdout: expect.stringMatching(/^-\tguard\t/m) });
    expect(verified.stdout).toMatch(told);
    const adviceOf = (name: string) => ({ name, fault: 'integrity_failure', advisory: true });
    // What doctor sees itself, and that the verification just made has found something.
    const found = [adviceOf('verification'), adviceOf('guards')];
    for (const stop of [true, false]) {
      const said = await doctor();
      expect(said).toMatchObject({ code: 1, ready: true, found });
      expect(said.notes).toMatch(told);
      if (stop) await vault.stop();
    }
    await expect(folder.start()).rejects.toThrow(told);
  });
});
