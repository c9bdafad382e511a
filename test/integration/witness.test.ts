import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { cosignatureOf } from '../../src/core/audit/cosignature.ts';
import { emptyRange, extendRange, leafHash, rootOf } from '../../src/core/audit/merkle.ts';
import { formatNote, formatNoteKey, keyTypes, noteKey, parseNoteKey } from '../../src/core/audit/note.ts';
import { formatAddCheckpoint } from '../../src/core/audit/witness.ts';
import { runChild } from '../support/child.ts';
import { consistencyProof } from '../support/reference-proofs.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';

/** `callvault witness` as a process, asked as C2SP tlog-witness says, by honest logs and others. */
const newLog = (name: string) => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { name, privateKey, key: noteKey(name, keyTypes.ed25519, raw) };
};
const log = newLog('callvault.one');
const other = newLog('callvault.two');
const leaves = Array.from({ length: 200 }, (_, i) => leafHash(Buffer.from(`entry ${i}`)));
/** Parted from the honest one behind the fifth entry. */
const forked = leaves.map((leaf, i) => (i < 5 ? leaf : leafHash(Buffer.from(`forged ${i}`))));

const noteOf = (size: number, { of = leaves, by = log } = {}): string => {
  const root = rootOf(extendRange(emptyRange, of.slice(0, size)));
  const text = formatCheckpoint({ origin: by.name, size, root });
  const bytes = sign(null, Buffer.from(text), by.privateKey);
  return formatNote({ text, signatures: [{ name: by.name, keyId: by.key.id, bytes }] });
};
const asking = (from: number, to: number, { of = leaves, by = log } = {}): string =>
  formatAddCheckpoint({
    oldSize: from,
    proof: consistencyProof(of.slice(0, to), from),
    note: noteOf(to, { of, by }),
  });

let home: string;
let witness: WitnessProcess;
const logs = [log, other].map(({ key }) => formatNoteKey(key));
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cvw-'));
  witness = await startWitness(home, logs);
});
afterEach(async () => {
  await witness.stop();
  await rm(home, { recursive: true, force: true });
});

const post = async (body: string, path = '/add-checkpoint', method = 'POST') => {
  const response = await fetch(`${witness.url}${path}`, { method, ...(method === 'POST' ? { body } : {}) });
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
};
const isCosigned = (note: string, { status, text }: { status: number; text: string }): boolean =>
  status === 200 && cosignatureOf(note, text, parseNoteKey(witness.key)!) !== null;
/** Its file without the first line, which is its key's. */
const state = async () => (await readFile(join(home, 'state'), 'utf8')).replace(/^.*\n/, '');

test('honest growth of two logs, each by itself, also over a restart', async () => {
  for (const by of [log, other])
    for (const [from, to] of [
      [0, 3],
      [3, 8],
      [8, 8],
      [8, 130],
    ] as const)
      expect(isCosigned(noteOf(to, { by }), await post(asking(from, to, { by })))).toBe(true);
  const { key } = witness;
  await witness.stop();
  witness = await startWitness(home, logs, []);
  expect(witness.key).toBe(key);
  expect(isCosigned(noteOf(200), await post(asking(130, 200)))).toBe(true);
  expect((await state()).split('\n').map((line) => line.split(' ')[0])).toEqual(['200', '130', '']);
});

describe('what it refuses, and what it says then', () => {
  beforeEach(async () => {
    await post(asking(0, 10));
  });
  const size = { status: 409, type: 'text/x.tlog.size', text: '10\n' };

  test('an older size: 409 with its own', async () => {
    expect(await post(asking(0, 20))).toEqual(size);
    expect(await post(asking(9, 20))).toEqual(size);
    expect(await post(asking(15, 20))).toEqual(size);
  });

  test('a fork: 422; the same size with another root: 409', async () => {
    expect(await post(asking(10, 20, { of: forked }))).toMatchObject({ status: 422 });
    expect(await post(asking(10, 10, { of: forked }))).toEqual(size);
    // What it has seen stays what it has seen.
    expect(isCosigned(noteOf(20), await post(asking(10, 20)))).toBe(true);
  });

  test('a log it does not know: 404; a key it does not know: 403; no request: 400', async () => {
    expect(await post(asking(0, 5, { by: newLog('callvault.three') }))).toMatchObject({ status: 404 });
    expect(await post(asking(10, 20, { by: newLog(log.name) }))).toMatchObject({ status: 403 });
    for (const body of ['', 'old 10\n', 'x'.repeat(1000), asking(20, 20).replace('old 20', 'old 21')])
      expect(await post(body)).toMatchObject({ status: 400 });
  });

  test('other addresses and methods, a body without end', async () => {
    expect(await post(asking(10, 20), '/')).toMatchObject({ status: 404 });
    expect(await post('', '/add-checkpoint', 'GET')).toMatchObject({ status: 405 });
    expect(await post('x'.repeat(200_000))).toMatchObject({ status: 413 });
    expect(isCosigned(noteOf(20), await post(asking(10, 20)))).toBe(true);
  });
});

describe('races', () => {
  test('of two that continue the same tree, differently, one is cosigned', async () => {
    await post(asking(0, 5));
    const asked = Array.from({ length: 20 }, (_, i) => asking(5, 12, { of: i % 2 === 0 ? leaves : forked }));
    const replies = await Promise.all(asked.map((body) => post(body)));
    const good = replies.map((reply, i) =>
      isCosigned(noteOf(12, { of: i % 2 === 0 ? leaves : forked }), reply),
    );
    const winners = new Set(good.flatMap((one, i) => (one ? [i % 2] : [])));
    expect(winners.size).toBe(1);
    expect(good.filter(Boolean)).toHaveLength(1);
    expect(replies.filter(({ status }) => status === 409)).toHaveLength(19);
  });

  test('none takes the memory back behind another that was cosigned', async () => {
    const sizes = Array.from({ length: 30 }, (_, i) => i + 1);
    const replies = await Promise.all(sizes.map((size) => post(asking(0, size))));
    const winner = replies.findIndex(({ status }) => status === 200);
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await state()).toMatch(new RegExp(`^${sizes[winner]} `));
  });
});

test('a client that stops in the middle keeps nobody waiting', async () => {
  const { hostname, port } = new URL(witness.url);
  const half = connect(Number(port), hostname);
  half.on('error', () => undefined);
  half.write('POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\nold 0\n');
  expect(isCosigned(noteOf(5), await post(asking(0, 5)))).toBe(true);
  half.destroy();
});

test('ended while it is asked: it answers first', async () => {
  const asked = post(asking(0, 5));
  await asked;
  const last = post(asking(5, 9));
  const [reply, code] = await Promise.all([last, last.then(() => witness.stop())]);
  expect(isCosigned(noteOf(9), reply)).toBe(true);
  expect(code).toBe(0);
});

test('a log whose line was taken out of its memory: it does not start', async () => {
  await post(asking(0, 5));
  await post(asking(0, 8, { by: other }));
  await witness.stop();
  const path = join(home, 'state');
  const whole = await readFile(path, 'utf8');
  const [first, one, two] = whole.split('\n');
  for (const text of [`${first}\n${one}\n`, `${first}\n${two}\n`, `${first}\n`, `${one}\n${two}\n`]) {
    await writeFile(path, text);
    const started = startWitness(home, logs, []).then((one) => one.stop());
    await expect(started, text).rejects.toThrow(/ended with 3.*is not the state/);
  }
  await writeFile(path, whole);
  witness = await startWitness(home, logs, []);
  expect(isCosigned(noteOf(9), await post(asking(5, 9)))).toBe(true);
});

describe('killed', () => {
  test('between remembering and answering: what it remembers counts, and the log goes on from there', async () => {
    await post(asking(0, 5));
    await witness.stop();
    // The same witness, state and key, with a state that never says it is done.
    const child = runChild(`
      import { createWitness } from './src/services/witness-logs.ts';
      import { readWitnessKeyFile } from './src/keys/witness-key-file.ts';
      import { openWitnessState } from './src/storage/witness-state.ts';
      import { parseNoteKey } from './src/core/audit/note.ts';
      const state = await openWitnessState(${JSON.stringify(join(home, 'state'))}, ${JSON.stringify(witness.key)}, { isNew: false });
      const signer = await readWitnessKeyFile(${JSON.stringify(join(home, 'key'))});
      const put = async (origin, tree) => {
        await state.put(origin, tree);
        console.log('persisted');
        await new Promise(() => setInterval(() => undefined, 1000));
      };
      const logs = [parseNoteKey(${JSON.stringify(logs[0])})];
      await createWitness({ signer, state: { ...state, put }, logs, now: Date.now }).add(${JSON.stringify(asking(5, 12))});
    `);
    expect(await child.nextLine()).toBe('persisted');
    await child.kill();
    witness = await startWitness(home, logs, []);
    expect(await post(asking(5, 12, { of: forked }))).toMatchObject({ status: 409, text: '12\n' });
    expect(await post(asking(5, 12))).toMatchObject({ status: 409, text: '12\n' });
    expect(isCosigned(noteOf(12), await post(asking(12, 12)))).toBe(true);
  });

  test('at any moment under load: what was cosigned is remembered', async () => {
    for (let round = 0; round < 3; round += 1) {
      const from = Number((await state().catch(() => '0')).split(' ')[0] || 0);
      let cosigned = from;
      const growing = (async () => {
        for (let size = from; size < 199; size += 1) {
          const reply = await post(asking(size, size + 1)).catch(() => null);
          if (reply === null) return;
          expect(reply.status).toBe(200);
          cosigned = size + 1;
        }
      })();
      await new Promise((resolve) => setTimeout(resolve, 50 + 40 * round));
      await witness.stop('SIGKILL');
      await growing;
      witness = await startWitness(home, logs, []);
      expect(Number((await state()).split(' ')[0])).toBeGreaterThanOrEqual(cosigned);
    }
  });
});
