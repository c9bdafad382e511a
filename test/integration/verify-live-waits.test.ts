import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { verifyVault } from '../../src/cli/verify-live.ts';
import { keyTypes } from '../../src/core/audit/note.ts';
import { newKey, noteOf, ORIGIN, rangeFile, type TestKey } from '../support/export-file.ts';
import { createMemoryLog } from '../support/memory-log.ts';

/** `verify --live` against a vault that answers one thing after another: the moment in which witnesses have not answered yet. */
const SIZE = 20;
const log = createMemoryLog(SIZE);
const own = newKey(ORIGIN);
const stranger = newKey(ORIGIN);
const witness = newKey('witness.example', keyTypes.cosignature);

/** Who has signed the checkpoint, one answer after the other; the last is given for ever. Null: there is none. */
type Answers = readonly (readonly TestKey[] | null)[];
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const vaultOf = async (checkpoints: Answers, exports: Answers) => {
  const asked = { checkpoint: 0, export: 0 };
  const next = (answers: Answers, what: keyof typeof asked): readonly TestKey[] | null => {
    const answer = answers[Math.min(asked[what], answers.length - 1)] ?? null;
    asked[what] += 1;
    return answer;
  };
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/v1/audit/checkpoint')) {
      const signers = next(checkpoints, 'checkpoint');
      if (signers === null) response.writeHead(404).end('{}');
      else response.end(noteOf(log, SIZE, signers));
      return;
    }
    const signers = next(exports, 'export');
    response.end(rangeFile(log, { checkpoint: signers && { size: SIZE, signers } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve).closeAllConnections()));
  let waited = 0;
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    asked,
    waited: () => waited,
    verify: (quorum = 1) =>
      verifyVault({
        ...{ url, token: 't', anchors: [] },
        trust: { keys: [own.key], witnesses: [witness.key], quorum },
        onWaiting: () => {
          waited += 1;
        },
      }),
  };
};
const SEEN = [own, witness];

test('signed between the two answers: the export is asked for again, and nothing is read twice', async () => {
  const vault = await vaultOf([SEEN], [[own], [own], SEEN]);
  expect(await vault.verify()).toMatchObject({ ok: true, witnesses: 1, entries: SIZE });
  expect(vault.asked).toEqual({ checkpoint: 3, export: 3 });
  expect(vault.waited()).toBe(1);
});

test('not seen yet, or not made yet: no export is asked for before it is', async () => {
  const vault = await vaultOf([null, [own], [own], SEEN], [SEEN]);
  expect(await vault.verify()).toMatchObject({ ok: true, witnesses: 1 });
  expect(vault.asked).toEqual({ checkpoint: 4, export: 1 });
});

test('never seen: told after some seconds, and not before', async () => {
  const vault = await vaultOf([[own]], [SEEN]);
  const began = performance.now();
  await expect(vault.verify()).rejects.toThrow('was seen by 0 of the witnesses, 1 are asked for');
  expect(performance.now() - began).toBeGreaterThan(5_000);
  expect(vault.waited()).toBe(1);
});

test('never seen in an export: the verdict is that of the last one', async () => {
  const vault = await vaultOf([SEEN], [[own]]);
  const { ok, faults } = await vault.verify();
  expect(ok).toBe(false);
  expect(faults[0]?.message).toContain('was seen by 0 of the witnesses');
});

test('what no waiting mends is told at once', async () => {
  const wrong = await vaultOf([[stranger, witness]], [SEEN]);
  await expect(wrong.verify()).rejects.toMatchObject({ code: 'integrity_failure' });
  const few = await vaultOf([SEEN], [SEEN]);
  await expect(few.verify(2)).rejects.toThrow('2 are asked for');
  const none = await vaultOf([[own]], [[own]]);
  expect(await none.verify(0)).toMatchObject({ ok: true, witnesses: 0 });
  for (const { asked, waited } of [wrong, few, none]) expect([asked.checkpoint, waited()]).toEqual([1, 0]);
});
