import { execFile } from 'node:child_process';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { guardsOff, guardsOn } from '../support/guards.ts';
import { adminCreateOf, choosePassword } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** An old database under newer checkpoints: refused, declared by two, told of for ever. One story, in order. */
let world: CareLineVault;
let checkpoints: string;
let admin: { readonly email: string; readonly password: string; readonly userId: string };

const copy = (from: string, to: string) => promisify(execFile)('cp', ['-a', from, to]);

const declare = (input: string, ...approvers: string[]) =>
  world.folder.cliTold(
    input,
    'restore',
    '--declare',
    '--reason',
    'The disk failed; restored from the backup of the night',
    ...approvers.flatMap((email) => ['--approver', email]),
    '--json',
  );

const verify = (...args: string[]) => world.folder.cli('verify', '--json', ...args);

type Verdict = {
  readonly ok: boolean;
  readonly size: number;
  readonly epochs: readonly {
    epoch: number;
    seq: number;
    lostFrom: number;
    lostTo: number;
    approvers: string[];
  }[];
  readonly faults: readonly { kind: string }[];
};
const verdictOf = ({ stdout }: { readonly stdout: string }): Verdict => JSON.parse(stdout) as Verdict;

const restart = async (): Promise<void> => {
  world = { ...world, vault: await world.folder.start() };
};

/** The sizes of the checkpoints that an epoch's room holds. */
const sizesIn = async (...room: string[]): Promise<number[]> =>
  (await readdir(join(checkpoints, ...room)))
    .filter((name) => /^\d{16}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);

beforeAll(async () => {
  checkpoints = join('/tmp', `cvc-${process.pid}-${Date.now()}`);
  await mkdir(checkpoints, { mode: 0o700 });
  world = await startCareLine({ CHECKPOINT_DIR: checkpoints });
  const email = 'second.admin@example.org';
  const made = await adminCreateOf(world.folder)(email, 'Region Second');
  admin = { ...made, email, password: await choosePassword(world.line.http, email, made.password) };
  await world.line.store(newCall(20_000));
  await world.vault.stop();
  await copy(world.folder.dataDir, `${world.folder.dataDir}.backup`);
  await restart();
  for (let i = 0; i < 4; i += 1) await world.line.store(newCall(20_000));
  await world.vault.stop();
});
afterAll(async () => {
  await world?.folder.remove();
  await rm(checkpoints, { recursive: true, force: true });
});

test('while nothing is lost there is nothing to declare', async () => {
  const { compliance } = world.line;
  const { code, stderr } = await declare(
    `${admin.password}\n${compliance.password}\n`,
    admin.email,
    compliance.email,
  );
  expect([code, stderr]).toEqual([3, expect.stringMatching(/nothing to declare/)]);
});

test('an old database does not start, and what is missing is said', async () => {
  await rm(world.folder.dataDir, { recursive: true });
  await copy(`${world.folder.dataDir}.backup`, world.folder.dataDir);
  await expect(world.folder.start()).rejects.toThrow(/its tail is missing/);
  const { code, stdout } = await verify('--against', checkpoints);
  expect(code).toBe(1);
  expect(verdictOf({ stdout })).toMatchObject({ ok: false, epochs: [] });
});

test('a reason that is no sentence is a usage error, before anybody is asked for a password', async () => {
  const said = await world.folder.cliTold(
    '',
    'restore',
    '--declare',
    '--reason',
    'disk',
    '--approver',
    'a@b.se',
  );
  expect(said).toMatchObject({ code: 2, stderr: expect.stringMatching(/sentence of 10 to 500 characters/) });
});

test('nobody declares it alone, for another, or with a wrong password', async () => {
  const { compliance, nurse } = world.line;
  const cases: [string, string, ...string[]][] = [
    [
      /different people/.source,
      `${admin.password}\n${admin.password}\n`,
      admin.email,
      admin.email.toUpperCase(),
    ],
    [/One of the two/.source, `${admin.password}\nwrong\n`, admin.email, compliance.email],
    [/One of the two/.source, `${admin.password}\n${nurse.password}\n`, admin.email, nurse.email],
    [/One of the two/.source, `${compliance.password}\n${admin.password}\n`, admin.email, compliance.email],
    [/One of the two/.source, `${admin.password}\nx\n`, admin.email, 'nobody@example.org'],
    [/one a line/.source, `${admin.password}\n`, admin.email, compliance.email],
  ];
  for (const [why, input, ...approvers] of cases) {
    const { code, stderr, stdout } = await declare(input, ...approvers);
    expect([code, stdout, stderr]).toEqual([3, '', expect.stringMatching(why)]);
  }
  expect((await declare(`${admin.password}\n`, admin.email)).code).toBe(2);
  expect(verdictOf(await verify()).epochs).toEqual([]);
});

test('two who answer for it open an epoch: what was lost is in the log, and the vault starts', async () => {
  const { compliance } = world.line;
  const before = await sizesIn();
  const { code, stdout, stderr } = await declare(
    `${admin.password}\n${compliance.password}\n`,
    admin.email,
    compliance.email,
  );
  expect([code, stderr]).toEqual([0, expect.stringMatching(/new epoch/)]);
  const declared = JSON.parse(stdout) as Record<string, unknown>;
  expect(declared).toMatchObject({
    epoch: 2,
    anchoredSize: before.at(-1),
    lostTo: before.at(-1),
    approvers: [admin.userId, compliance.id],
  });
  expect(declared.seq).toBe(declared.headSize);
  expect(declared.lostFrom).toBeLessThanOrEqual(declared.headSize as number);
  expect(before).toContain(declared.lostFrom);
  expect(JSON.stringify([stdout, stderr])).not.toContain(admin.password);

  await restart();
  await world.line.store(newCall(20_000));
  await world.vault.stop();
  expect(await sizesIn()).toEqual(before);
  expect((await sizesIn('epoch-2'))[0]).toBe((declared.seq as number) + 1);
  await restart();
  await world.vault.stop();
});

test('verifiers report it, and hide nothing behind it', async () => {
  const alone = await world.folder.cli('verify');
  expect(alone.stderr).toMatch(/opened epoch 2: entries \d+ to \d+ .* lost/);
  const { code, stdout } = await verify('--against', checkpoints);
  expect(code).toBe(0);
  expect(verdictOf({ stdout })).toMatchObject({ ok: true, faults: [], epochs: [{ epoch: 2 }] });
  const { compliance } = world.line;
  const again = await declare(`${admin.password}\n${compliance.password}\n`, admin.email, compliance.email);
  expect([again.code, again.stderr]).toEqual([3, expect.stringMatching(/nothing to declare/)]);
});

test('H-5 an epoch explains what was lost before it, and not what is lost after', async () => {
  await restart();
  await inDatabase(
    world.folder,
    async (client) => {
      const size = (await sizesIn('epoch-2'))[0];
      for (const table of ['entry', 'leaf', 'batch', 'node', 'checkpoint']) {
        await guardsOff(client, [table]);
        const behind = {
          entry: 'seq >= $1',
          leaf: 'seq >= $1',
          batch: 'size > $1',
          node: '(index + 1) << level > $1',
        };
        await client.query(`DELETE FROM audit.${table} WHERE ${behind[table as 'entry'] ?? 'size > $1'}`, [
          size,
        ]);
        await guardsOn(client, [table]);
      }
    },
    'superuser',
  );
  await world.vault.stop();
  const { code, stdout } = await verify('--against', checkpoints);
  expect(code).toBe(1);
  expect(verdictOf({ stdout }).faults[0]?.kind).toBe('anchor');
  await expect(world.folder.start()).rejects.toThrow(/its tail is missing/);
});

test('restored twice: a database that has forgotten the second epoch opens the third', async () => {
  const { compliance } = world.line;
  await rm(world.folder.dataDir, { recursive: true });
  await copy(`${world.folder.dataDir}.backup`, world.folder.dataDir);
  await expect(world.folder.start()).rejects.toThrow(/its tail is missing/);
  const { code, stdout } = await declare(
    `${compliance.password}\n${admin.password}\n`,
    compliance.email,
    admin.email,
  );
  const newest = Math.max(...(await sizesIn()), ...(await sizesIn('epoch-2')));
  expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ epoch: 3, lostTo: newest })]);
  await restart();
  await world.line.store(newCall(20_000));
  await world.vault.stop();
  expect((await sizesIn('epoch-3')).length).toBeGreaterThan(0);
  const verified = await verify('--against', checkpoints);
  expect(verified.stderr).toMatch(/opened epoch 3/);
  expect(verdictOf(verified)).toMatchObject({ ok: true, faults: [], epochs: [{ epoch: 3 }] });
  await restart();
  await world.vault.stop();
});

test('an epoch stays known when the entry that opened it has lost its body', async () => {
  await restart();
  await inDatabase(
    world.folder,
    async (client) => {
      await guardsOff(client);
      await client.query(`DELETE FROM audit.entry WHERE (facts).action = 'log.epoch_opened'`);
      await guardsOn(client);
    },
    'superuser',
  );
  await world.vault.stop();
  const before = (await sizesIn('epoch-3')).length;
  await restart();
  await world.line.store(newCall(20_000));
  await world.vault.stop();
  expect((await sizesIn('epoch-3')).length).toBeGreaterThan(before);
});

test('H-5 an epoch that the database alone tells of is believed by nobody', async () => {
  await rm(world.folder.dataDir, { recursive: true });
  await copy(`${world.folder.dataDir}.backup`, world.folder.dataDir);
  await rm(join(checkpoints), { recursive: true });
  await mkdir(checkpoints, { mode: 0o700 });
  await restart();
  await inDatabase(
    world.folder,
    async (client) => {
      const { rows } = await client.query<{ size: string; root: Buffer }>(
        'SELECT size, root FROM audit.batch ORDER BY first_seq DESC LIMIT 1',
      );
      const { size, root } = rows[0]!;
      const body = JSON.stringify({
        v: 1,
        id: '00000000-0000-4000-8000-0000000000ff',
        at: Date.now(),
        action: 'log.epoch_opened',
        outcome: 'success',
        actor: { type: 'operator', id: null, role: null },
        ...{ organisation: null, unit: null, recording: null, subject: null, purpose: null, session: null },
        request: null,
        detail: {
          epoch: 2,
          anchoredSize: Number(size) + 50,
          anchoredRoot: root.toString('hex'),
          headSize: Number(size),
          headRoot: root.toString('hex'),
          lostFrom: Number(size),
          lostTo: Number(size) + 50,
          reason: 'x',
          approvers: [admin.userId, world.line.compliance.id],
        },
      });
      await client.query('SELECT audit.append($1, 0, $2, $3)', ['forger', [Buffer.alloc(32)], [body]]);
    },
    'superuser',
  );
  await world.vault.stop();
  await expect(world.folder.start()).rejects.toThrow(/nobody with the keys of this installation/);
});
