import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkpointName, formatCheckpoint } from '../../../src/core/audit/checkpoint.ts';
import { encodeEvent } from '../../../src/core/audit/entry.ts';
import { formatNote } from '../../../src/core/audit/note.ts';
import type { AuditEvent } from '../../../src/core/events.ts';
import {
  type AttackedLog,
  BACKUP,
  type Finding,
  rewriteFrom,
  SIZE,
  startAttackedLog,
} from '../../support/attacked-log.ts';
import { freshEvent } from '../../support/audit-events.ts';
import { createTestSigner } from '../../support/checkpoints.ts';
import { until } from '../../support/child.ts';
import { checksummed, editPage, pageOf } from '../../support/heap-page.ts';

/**
 * What whoever has the database's superuser can do to a log of 100,000 entries, and what `callvault verify` says: exit
 * code 1, the first bad place, and what is wrong there.
 */
type Page = Awaited<ReturnType<typeof pageOf>>;

// Each verifies the whole log, some several times.
vi.setConfig({ testTimeout: 180_000 });

let log: AttackedLog;
beforeAll(async () => {
  log = await startAttackedLog();
});
afterAll(() => log?.close());

type Superuser = pg.Client;
const number = async (superuser: Superuser, text: string, values: readonly unknown[] = []): Promise<number> =>
  Number(Object.values((await superuser.query(text, [...values])).rows[0])[0]);

/** The first entry of the append that this one came with. */
const batchOf = (superuser: Superuser, seq: number): Promise<number> =>
  number(superuser, 'SELECT max(first_seq) FROM audit.batch WHERE first_seq <= $1', [seq]);

/** The newest checkpoint that was carried off and holds at most so many entries. */
const keptUpTo = async (size: number): Promise<number> =>
  Math.max(
    0,
    ...(await readdir(log.kept)).map((name) => Number(name.slice(0, 16))).filter((one) => one <= size),
  );

/** What the command finds first beside what was carried off. */
const finding = async (known: readonly string[] = log.known): Promise<Finding> => {
  const { code, first } = await log.verify(...known);
  expect(code).toBe(1);
  return first as Finding;
};

const append = (superuser: Superuser, events: readonly AuditEvent[]): Promise<unknown> =>
  superuser.query('SELECT FROM audit.append($1, 0, $2, $3)', [
    'forger',
    events.map(() => Buffer.alloc(32, 7)),
    events.map((event) => encodeEvent(event).body),
  ]);

const PLACE = 61_234;
const LATE = 98_765;

const denied = `body = replace(body, '"success"', '"denied"')`;
const salted = `sha256('\\x02'::bytea || salt || convert_to(body, 'UTF8'))`;

test('nothing was done: 0', async () => {
  await log.renew();
  const { code, ran } = await log.verify(...log.known);
  expect([code, JSON.parse(ran.stdout)]).toEqual([0, expect.objectContaining({ ok: true, faultCount: 0 })]);
  expect((JSON.parse(ran.stdout) as { size: number }).size).toBeGreaterThanOrEqual(SIZE);
});

describe('H-5 what does not agree with itself', () => {
  test('a body edited', async () => {
    await log.attack((su) => su.query(`UPDATE audit.entry SET ${denied} WHERE seq = $1`, [PLACE]));
    expect(await finding()).toMatchObject({ kind: 'body', index: PLACE });
  });

  test('a body edited, and its commitment', async () => {
    let first = 0;
    await log.attack(async (su) => {
      first = await batchOf(su, PLACE);
      await su.query(`UPDATE audit.entry SET ${denied} WHERE seq = $1`, [PLACE]);
      const update = `UPDATE audit.leaf l SET commitment = ${salted} FROM audit.entry e WHERE e.seq = l.seq AND l.seq = $1`;
      await su.query(update, [PLACE]);
    });
    expect(await finding()).toMatchObject({ kind: 'tree', index: first });
  });

  test('one deleted', async () => {
    await log.attack(async (su) => {
      for (const table of ['entry', 'leaf'])
        await su.query(`DELETE FROM audit.${table} WHERE seq = $1`, [PLACE]);
    });
    expect(await finding()).toMatchObject({ kind: 'leaf', index: PLACE });
  });

  test('two swapped', async () => {
    let first = 0;
    await log.attack(async (su) => {
      first = await batchOf(su, PLACE);
      for (const table of ['entry', 'leaf'])
        for (const [from, to] of [
          [PLACE, 1_000_000],
          [LATE, PLACE],
          [1_000_000, LATE],
        ])
          await su.query(`UPDATE audit.${table} SET seq = $2 WHERE seq = $1`, [from, to]);
    });
    expect(await finding()).toMatchObject({ kind: 'tree', index: first });
  });

  test('one inserted in the middle, those behind it moved', async () => {
    let first = 0;
    await log.attack(async (su) => {
      first = await batchOf(su, LATE);
      for (const table of ['entry', 'leaf']) {
        await su.query(`UPDATE audit.${table} SET seq = seq + 200000 WHERE seq >= $1`, [LATE]);
        await su.query(`UPDATE audit.${table} SET seq = seq - 199999 WHERE seq >= 200000`);
      }
      const { body } = encodeEvent(freshEvent());
      const salt = Buffer.alloc(32, 7);
      await su.query('INSERT INTO audit.entry (seq, salt, body) VALUES ($1, $2, $3)', [LATE, salt, body]);
      const leaf = `INSERT INTO audit.leaf SELECT seq, ${salted}, (facts).event_id FROM audit.entry WHERE seq = $1`;
      await su.query(leaf, [LATE]);
    });
    expect(await finding()).toMatchObject({ kind: 'tree', index: first });
  });
});

describe('H-5 what agrees with itself, and not with what was carried off', () => {
  test('the last hundred deleted', async () => {
    let size = 0;
    await log.attack(async (su) => {
      size = (await number(su, 'SELECT max(size) FROM audit.batch')) - 100;
      await rewriteFrom(su, size, (entries, first) => entries.slice(0, size - first));
    });
    const found = await finding();
    expect(found).toMatchObject({ kind: 'anchor', index: size });
    expect(found.message).toContain('its tail is missing');
  });

  test.each(['deleted', 'inserted'])('one %s, and all behind it appended anew', async (what) => {
    await log.attack((su) =>
      rewriteFrom(su, LATE, (entries, first) => {
        const { body } = encodeEvent(freshEvent({ at: Date.now() }));
        const added = what === 'deleted' ? [] : [{ salt: Buffer.alloc(32, 7), body }];
        return entries.toSpliced(LATE - first, 1 - added.length, ...added);
      }),
    );
    expect(await finding()).toMatchObject({ kind: 'anchor', index: await keptUpTo(LATE) });
  });

  test('written anew from a changed entry on, and every checkpoint signed by another key', async () => {
    const name = log.logKey.slice(0, log.logKey.indexOf('+'));
    const signer = createTestSigner(name);
    const forged = `${log.kept}-forged`;
    await mkdir(forged);
    await log.attack(async (su) => {
      await rewriteFrom(su, LATE, (entries, first) => {
        const { salt, body } = entries[LATE - first]!;
        return entries.with(LATE - first, { salt, body: body.replace('"success"', '"denied"') });
      });
      const { rows } = await su.query('SELECT size::int, root FROM audit.batch ORDER BY first_seq');
      for (const { size, root } of rows) {
        const text = formatCheckpoint({ origin: name, size, root });
        const note = formatNote({ text, signatures: [await signer.sign(text)] });
        await writeFile(join(forged, checkpointName(size)), note);
      }
    });
    expect(await finding()).toMatchObject({ kind: 'anchor', index: await keptUpTo(LATE) });
    const { code, ran } = await log.verify('--against', forged, '--key', log.logKey);
    const message = expect.stringMatching(/is not signed by a key of the log/);
    expect(code).toBe(1);
    expect(JSON.parse(ran.stdout).faults).toContainEqual({ kind: 'signature', index: null, message });
  });

  test('an old backup restored, and gone on with: the witness refuses the fork, and nobody else takes it for the log', async () => {
    await log.renew(BACKUP);
    await rm(log.checkpoints, { recursive: true });
    await mkdir(log.checkpoints, { mode: 0o700 });
    let backedUp = 0;
    const live = await log.serving(async (vault) => {
      backedUp = await log.growBy(SIZE / 2 + 5000);
      await until(() => vault.output().includes('ALARM: a witness refuses the access log'));
      return log.verifyLive('--key', log.logKey, '--witness', log.witness.key);
    });
    expect(live.code).toBe(1);
    expect(live.ran.stdout).toMatch(/was seen by 0 of the witnesses, 1 are asked for/);
    const found = await finding();
    expect(found).toMatchObject({ kind: 'anchor', index: await keptUpTo(backedUp) });
    expect(found.message).toContain('are not those of the known head');
  });
});

describe('H-5 what no hash of the log tells', () => {
  test('what an entry is found by, edited after the column was cut loose from the body', async () => {
    // Done while it serves: a vault is not started beside it.
    await log.renew();
    const live = await log.serving(async () => {
      await log.tamper(async (su) => {
        // Whoever does this keeps the log growing, so that nobody looks.
        await su.query('ALTER TABLE audit.entry ALTER COLUMN facts DROP EXPRESSION');
        await su.query(`CREATE FUNCTION audit.derive() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN NEW.facts := audit.facts_of(NEW.body); RETURN NEW; END'`);
        await su.query(
          'CREATE TRIGGER derive BEFORE INSERT ON audit.entry FOR EACH ROW EXECUTE FUNCTION audit.derive()',
        );
        await su.query(`UPDATE audit.entry SET facts.actor = 'somebody else' WHERE seq = $1`, [PLACE]);
      });
      return log.verifyLive('--key', log.logKey, '--witness', log.witness.key);
    });
    expect([live.code, live.first]).toEqual([1, expect.objectContaining({ kind: 'columns', index: PLACE })]);
    expect(await finding()).toMatchObject({ kind: 'columns', index: PLACE });
    await expect(log.serving(async () => undefined)).rejects.toThrow(/Trigger derive of audit\.entry/);
  });

  test.each([
    ['and an entry that tells of it', 'early_prune'],
    ['and nothing that tells of it', 'body'],
  ])('bodies removed before their time, %s', async (_what, kind) => {
    await log.attack(async (su) => {
      await su.query('DELETE FROM audit.entry WHERE seq < 1000');
      const detail = { from: 0, to: 1000, floor: 5 };
      const told = freshEvent({ action: 'log.pruned', at: Date.now(), organisation: null, detail });
      if (kind === 'early_prune') await append(su, [told]);
    });
    expect(await finding()).toMatchObject({ kind, index: 0 });
  });

  test('an entry that says that it is older than what a witness has seen', async () => {
    let size = 0;
    await log.attack(async (su) => {
      size = await number(su, 'SELECT max(size) FROM audit.batch');
      await append(su, [freshEvent({ at: Date.now() - 3 * 86_400_000 })]);
    });
    expect(await finding()).toMatchObject({ kind: 'backdated', index: size });
  });
});

describe('H-5 pages of the files edited while the server was stopped', () => {
  const [QUIET, LOUD, EMPTY, LEAF] = [20_000, 40_000, 60_000, 80_000] as const;

  test('with the right checksum, with a wrong one, emptied: each is found, and all the rest is verified', async () => {
    const { clusterDir } = log.database;
    const pages: Awaited<ReturnType<typeof pageOf>>[] = [];
    let body = '';
    await log.attack(async (su) => {
      for (const seq of [QUIET, LOUD, EMPTY]) pages.push(await pageOf(su, 'entry', seq));
      pages.push(await pageOf(su, 'leaf', LEAF));
      body = (await su.query('SELECT body FROM audit.entry WHERE seq = $1', [QUIET])).rows[0].body;
    });
    const [quiet, loud, empty, leaf] = pages as [Page, Page, Page, Page];
    const edited = (page: Buffer): void => {
      page.write('"denied" ', page.indexOf('"success"', page.indexOf(body)));
    };
    await log.database.stopServer();
    await editPage(clusterDir, quiet, (page) => {
      edited(page);
      checksummed(page, quiet.block);
    });
    await editPage(clusterDir, loud, (page) => page.fill(0x5a, 4000, 4100));
    await editPage(clusterDir, empty, (page) => page.fill(0));
    await editPage(clusterDir, leaf, (page) => page.fill(0x5a, 4000, 4100));
    await log.database.startServer();

    const { code, ran } = await log.verify(...log.known);
    const { faults, size } = JSON.parse(ran.stdout) as { faults: readonly Finding[]; size: number };
    const places = (kind: string) => faults.filter((fault) => fault.kind === kind).map(({ index }) => index);
    expect(code).toBe(1);
    expect(ran.stderr).not.toMatch(/\bat .*:\d+|PANIC|invalid page/);
    expect(faults[0]).toMatchObject({ kind: 'body', index: QUIET });
    expect(places('body')).toEqual([QUIET, loud.first, empty.first]);
    expect(places('unreadable')).toEqual(expect.arrayContaining([loud.first, loud.last, leaf.first]));
    expect(places('leaf')[0]).toBe(leaf.first);
    expect(size).toBeGreaterThanOrEqual(SIZE);
  });
});
