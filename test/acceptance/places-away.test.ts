import { mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { cutLog } from '../support/cut-log.ts';
import type { Ran } from '../support/vault.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** Commands beside places of checkpoints that are configured and cannot be asked: what was not compared does not agree. */
let world: CareLineVault;
let bucket: Record<string, string>;
let place: string;
beforeAll(async () => {
  world = await startCareLine();
  await world.line.store(newCall(20_000));
  await world.vault.stop();
  place = join(world.folder.dataDir, 'checkpoints');
  bucket = {
    S3_ENDPOINT: 'http://127.0.0.1:9',
    S3_BUCKET: 'calls',
    S3_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    S3_SECRET_ACCESS_KEY: '9f2c41d07be35a68b1',
  };
});
afterAll(() => world?.folder.remove());

const cliWith = async (settings: Record<string, string>, ...args: string[]): Promise<Ran> => {
  const { env } = world.folder;
  Object.assign(env, settings);
  try {
    return await world.folder.cli(...args);
  } finally {
    for (const name of Object.keys(settings)) delete env[name];
  }
};

describe('a bucket where nothing listens', () => {
  const told = () =>
    new RegExp(
      `^The log was not compared with the checkpoints in s3://calls/checkpoints: .*: ${new URL(bucket.S3_ENDPOINT!).host} \\(S3_ENDPOINT\\), bucket calls \\(S3_BUCKET\\), ECONNREFUSED\\. Check that it runs there.* run the command again\\.$`,
      'm',
    );

  test('verify: nothing was found, and that is not clean: 3, said in words and in JSON', async () => {
    const said = await cliWith(bucket, 'verify');
    expect(said.stderr).toMatch(told());
    expect(said.stderr).not.toContain(bucket.S3_SECRET_ACCESS_KEY);
    expect(said.stdout).toMatch(/^NOT COMPARED\t\d+ entries\troot /);
    expect(said.code).toBe(3);
    const { code, stdout } = await cliWith(bucket, 'verify', '--json');
    expect([code, JSON.parse(stdout)]).toMatchObject([
      3,
      {
        ok: false,
        faultCount: 0,
        notCompared: [{ where: 's3://calls/checkpoints', fault: expect.stringContaining('ECONNREFUSED') }],
      },
    ]);
  });

  test('doctor has a finding; a command that is about something else says so and does it', async () => {
    const { code, stdout } = await cliWith(bucket, 'doctor', '--json');
    const { findings, notes } = JSON.parse(stdout) as { findings: object[]; notes: string[] };
    expect(findings).toContainEqual({ name: 'checkpoints', advisory: true, fault: 'not_compared' });
    expect(notes).toContainEqual(expect.stringContaining('s3://calls/checkpoints'));
    expect(notes.join()).not.toContain('No second place');
    expect(code).toBe(1);
    const key = await cliWith(bucket, 'log-key');
    expect(key).toMatchObject({ code: 0, stdout: expect.stringMatching(/^callvault\./) });
    expect(key.stderr).toMatch(told());
  });
});

describe('a folder of checkpoints', () => {
  const expectNotCompared = async (): Promise<void> => {
    const { code, stdout, stderr } = await world.folder.cli('verify', '--json');
    expect(stderr).toContain(
      `was not compared with the checkpoints in ${place}: The folder of the checkpoints`,
    );
    expect([code, JSON.parse(stdout)]).toMatchObject([3, { ok: false, notCompared: [{ where: place }] }]);
  };

  test('that cannot be opened: 3', async () => {
    await rename(place, `${place}.away`);
    await writeFile(place, 'in the way');
    await expectNotCompared();
    await rm(place);
    await rename(`${place}.away`, place);
  });

  test('that opens and cannot be read: 3, and no vault starts on it', async () => {
    const damaged = join(place, '0000000000999999');
    await mkdir(damaged);
    await expectNotCompared();
    await expect(world.folder.start()).rejects.toThrow(/ended with 3/);
    await rmdir(damaged);
  });

  test('that can be asked again: 0, with nothing to say', async () => {
    const { code, stdout } = await world.folder.cli('verify', '--json');
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { ok: true, notCompared: [] }]);
    const doctor = JSON.parse((await world.folder.cli('doctor', '--json')).stdout);
    expect(doctor.findings).toContainEqual({ name: 'checkpoints', advisory: true, fault: null });
  });
});

test('a finding stays one: the other place is compared all the same, and the one that is away is told of', async () => {
  const vault = await world.folder.start();
  await inDatabase(
    world.folder,
    async (superuser) => {
      const { rows } = await superuser.query('SELECT size::int FROM audit.batch ORDER BY size DESC OFFSET 3');
      await cutLog(superuser, rows[0].size);
    },
    'superuser',
  );
  const { code, stdout, stderr } = await cliWith({ ...bucket, CHECKPOINT_DIR: place }, 'verify', '--json');
  expect(stderr).toContain('s3://calls/checkpoints');
  expect([code, JSON.parse(stdout)]).toMatchObject([
    1,
    {
      ok: false,
      faults: [{ kind: 'anchor', message: expect.stringContaining('its tail is missing') }],
      notCompared: [{ where: 's3://calls/checkpoints' }],
    },
  ]);
  await vault.stop();
});
