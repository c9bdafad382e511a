import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { freshEvent } from '../../support/audit-events.ts';
import { checkpointsLog } from '../../support/checkpointed-log.ts';
import { createTestSigner, cuttable, ORIGIN } from '../../support/checkpoints.ts';
import { backUp, cutLog } from '../../support/cut-log.ts';

/** A log that contradicts its checkpoints halts its writer: found while the vault runs, and at its start. */
const log = checkpointsLog();
const halted = { code: 'log_halted' };

const expectAlarm = async (alarms: readonly unknown[]): Promise<void> => {
  expect(alarms).toHaveLength(1);
  await expect(log.writer.append(freshEvent())).rejects.toMatchObject(halted);
  expect(log.writer.state()).toBe('halted');
  await expect(log.writer.assertAppendable()).rejects.toMatchObject(halted);
};

test.each([
  ['with its checkpoints', true],
  ['without its checkpoints', false],
])('H-5 the tail is cut %s while the vault runs and nobody writes', async (_what, checkpoints) => {
  const one = await log.scene.open(log.writer);
  await log.append(3);
  await one.round();
  await log.append(3);
  await one.round();
  await cutLog(log.superuser, 3, { checkpoints });
  await expect(one.round()).rejects.toMatchObject(halted);
  await expectAlarm(one.alarms());
  // Said once; halted for good.
  await expect(one.round()).rejects.toMatchObject(halted);
  await expectAlarm(one.alarms());
});

test('H-5 the last entries are rewritten consistently before they were signed: this process has seen them', async () => {
  const one = await log.scene.open(log.writer);
  await log.append(3);
  await one.round();
  await log.append(3);
  await cutLog(log.superuser, 3);
  const forger = log.writers.open();
  await log.append(4, forger);
  await expect(one.round()).rejects.toMatchObject(halted);
  await expectAlarm(one.alarms());
  expect((await log.kept()).map(({ size }) => size)).toEqual([3]);
});

test('H-5 a checkpoint is removed from the database', async () => {
  const one = await log.scene.open(log.writer);
  await log.append(3);
  await one.round();
  await log.superuser.query('ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL');
  await log.superuser.query('DELETE FROM audit.checkpoint');
  await expect(one.round()).rejects.toMatchObject(halted);
  await expectAlarm(one.alarms());
});

test.each([
  [
    'in the database',
    async (text: string) => {
      await log.superuser.query('ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL');
      await log.superuser.query('UPDATE audit.checkpoint SET note = $1', [text]);
    },
  ],
  [
    'where it is copied to',
    async (text: string) => {
      await rm(join(log.scene.folder, '0000000000000003'));
      await writeFile(join(log.scene.folder, '0000000000000003'), text, { mode: 0o400 });
    },
  ],
])('H-5 a checkpoint %s is one of another key', async (_what, forge) => {
  const one = await log.scene.open(log.writer);
  await log.append(3);
  await one.round();
  await one.close();
  const note = (await log.kept())[0]?.note ?? '';
  const text = note.slice(0, note.indexOf('\n\n') + 1);
  const thief = createTestSigner();
  const { keyId, bytes } = await thief.sign(text);
  await forge(`${text}\n— ${ORIGIN} ${Buffer.concat([keyId, bytes]).toString('base64')}\n`);
  const two = await log.scene.open(log.writer);
  await expect(two.resume()).rejects.toMatchObject(halted);
  await expectAlarm(two.alarms());
});

describe('at the start', () => {
  test('H-5 an old database under newer checkpoints elsewhere', async () => {
    await log.append(5);
    const one = await log.scene.open(log.writer);
    await one.round();
    await log.writers.close();
    await one.close();
    const backup = await backUp(log.database);
    log.writer = log.writers.open();
    await log.append(5);
    const two = await log.scene.open(log.writer);
    await two.round();
    await two.close();
    await log.writers.close();
    await backup.restore();
    log.writer = log.writers.open();
    const three = await log.scene.open(log.writer);
    await expect(three.resume()).rejects.toMatchObject({
      ...halted,
      message: expect.stringMatching(/^The access log has 5 entries, but 10 are known .*its tail is missing/),
    });
    expect(three.alarms()).toHaveLength(1);
    await expect(log.writer.append(freshEvent())).rejects.toMatchObject(halted);
    // Grown past the lost checkpoint by somebody who did not look: another log.
    const reckless = log.writers.open();
    await log.append(7, reckless);
    const four = await log.scene.open(null);
    await expect(four.resume()).rejects.toMatchObject({
      ...halted,
      message: expect.stringMatching(/^The first 10 entries of the access log are not those/),
    });
  });
});

test('H-5 all entries are removed, with all checkpoints', async () => {
  await log.append(5);
  const one = await log.scene.open(log.writer);
  await one.round();
  await one.close();
  await cutLog(log.superuser, 0);
  const two = await log.scene.open(null);
  await expect(two.resume()).rejects.toMatchObject(halted);
});

test('H-5 a commitment below the newest checkpoint is exchanged', async () => {
  await log.append(5);
  const one = await log.scene.open(log.writer);
  await one.round();
  await one.close();
  await log.superuser.query('ALTER TABLE audit.leaf DISABLE TRIGGER ALL');
  await log.superuser.query(`UPDATE audit.leaf SET commitment = sha256('x') WHERE seq = 2`);
  const two = await log.scene.open(null);
  await expect(two.resume()).rejects.toMatchObject(halted);
});

test('H-5 a part of the tree below the newest checkpoint is missing', async () => {
  await log.append(5);
  const one = await log.scene.open(log.writer);
  await one.round();
  await one.close();
  await log.superuser.query('ALTER TABLE audit.leaf DISABLE TRIGGER ALL');
  await log.superuser.query('DELETE FROM audit.leaf WHERE seq = 4');
  const two = await log.scene.open(null);
  await expect(two.resume()).rejects.toMatchObject(halted);
});

test('H-5 checkpoints of another installation lie where this one keeps its own', async () => {
  const other = await log.scene.openFolder();
  const signer = createTestSigner('callvault.somebody-else');
  const text = `callvault.somebody-else\n1\n${Buffer.alloc(32).toString('base64')}\n`;
  const { keyId, bytes } = await signer.sign(text);
  await other.keep(
    '0000000000000001',
    `${text}\n— callvault.somebody-else ${Buffer.concat([keyId, bytes]).toString('base64')}\n`,
  );
  const one = await log.scene.open(null);
  await expect(one.resume()).rejects.toMatchObject(halted);
});

test('H-5 a place that cannot be read is no contradiction, and the start waits for it', async () => {
  await log.append(1);
  const place = cuttable(await log.scene.openFolder());
  const one = await log.scene.open(log.writer, { place });
  await one.round();
  await one.close();
  place.away = true;
  const two = await log.scene.open(log.writer, { place });
  await expect(two.resume()).rejects.toThrow('away');
  expect(two.alarms()).toEqual([]);
  await log.append(1);
});

test('H-5 another tree, signed by this log, lies where the next checkpoint is to be copied', async () => {
  const one = await log.scene.open(log.writer);
  await log.append(1);
  await one.round();
  const place = await log.scene.openFolder();
  const text = `${ORIGIN}\n2\n${Buffer.alloc(32, 1).toString('base64')}\n`;
  const { keyId, bytes } = await log.scene.signer.sign(text);
  await place.keep(
    '0000000000000002',
    `${text}\n— ${ORIGIN} ${Buffer.concat([keyId, bytes]).toString('base64')}\n`,
  );
  await log.append(1);
  await expect(one.round()).rejects.toMatchObject(halted);
  await expectAlarm(one.alarms());
});
