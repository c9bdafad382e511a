import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isConsistent, rootFromInclusion } from '../../src/core/audit/proof.ts';
import { createHttpClient, type HttpClient, jsonOf } from '../support/http-client.ts';
import { type InProcessVault, startInProcess } from '../support/in-process-vault.ts';
import { expectProblem } from '../support/problems.ts';
import { buildScene, type Person, type Scene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** Proofs of the access log over HTTP, on a real log of two organisations. */
let vault: InProcessVault;
let http: HttpClient;
let scene: Scene;

beforeAll(async () => {
  vault = await startInProcess();
  http = createHttpClient(vault.url);
  scene = await buildScene(http, vault.adminCreate);
  // Signing in is an entry; what follows counts entries.
  await Promise.all([scene.home.compliance.token(), scene.installationAuditor.token()]);
});
afterAll(async () => {
  http.close();
  await vault.close();
});

type Inclusion = { seq: number; size: number; leaf: string; root: string; proof: string[] };
type Consistency = { from: number; to: number; fromRoot: string; toRoot: string; proof: string[] };
type EntryProof = Inclusion & { commitment: string; salt: string; body: string; checkpoint: string | null };

const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
const sha256 = (...parts: Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
const ask = async (path: string, person: Person = scene.home.compliance) =>
  http.get(`/v1/audit${path}`, { token: await person.token() });
const rootOf = ({ seq, size, leaf, proof }: Inclusion): string =>
  rootFromInclusion(seq, size, bytes(leaf), proof.map(bytes))?.toString('base64') ?? 'none';

const rows = <T>(text: string, values: readonly unknown[] = []): Promise<T[]> =>
  inDatabase(vault.folder, async (client) => (await client.query(text, [...values])).rows as T[]);
const sizeNow = async (): Promise<number> =>
  (await rows<{ size: number }>('SELECT max(size)::int AS size FROM audit.batch'))[0]?.size ?? 0;

/** Place of the newest entry of an organisation, or of none. */
const newestOf = async (organisation: string | null): Promise<number> =>
  (
    await rows<{ seq: number }>(
      'SELECT max(seq)::int AS seq FROM audit.entry WHERE (facts).organisation IS NOT DISTINCT FROM $1',
      [organisation],
    )
  )[0]?.seq ?? -1;

describe('H-5 bare proofs', () => {
  test('every entry is in the present tree, whoever it is about, and nothing is written down', async () => {
    const size = await sizeNow();
    const [{ root } = { root: '' }] = await rows<{ root: string }>(
      `SELECT encode(root, 'base64') AS root FROM audit.batch WHERE size = $1`,
      [size],
    );
    for (const seq of [0, 1, size >> 1, size - 1, await newestOf(scene.foreign.id)]) {
      const proof = jsonOf<Inclusion>(await ask(`/proof/inclusion?seq=${seq}&size=${size}`), 200);
      expect(proof).toMatchObject({ seq, size, root });
      expect(rootOf(proof)).toBe(root);
    }
    expect(jsonOf<Inclusion>(await ask('/proof/inclusion?seq=0'), 200)).toMatchObject({ size, root });
    expect(await sizeNow()).toBe(size);
  });

  test('every earlier tree is the beginning of a later one', async () => {
    const to = await sizeNow();
    for (const from of [0, 1, 2, to >> 1, to - 1, to]) {
      const proof = jsonOf<Consistency>(await ask(`/proof/consistency?from=${from}&to=${to}`), 200);
      const roots = { from: bytes(proof.fromRoot), to: bytes(proof.toRoot) };
      expect(isConsistent(from, to, roots, proof.proof.map(bytes))).toBe(true);
    }
    expect(jsonOf<Consistency>(await ask('/proof/consistency?from=1'), 200).to).toBe(to);
  });

  test.each([
    ['/proof/inclusion?seq=0&size=999999', 'size'],
    ['/proof/inclusion?seq=999999', 'seq'],
    ['/proof/inclusion?seq=3&size=3', 'seq'],
    ['/proof/inclusion?seq=0&size=0', 'seq'],
    ['/proof/consistency?from=1&to=999999', 'to'],
    ['/proof/consistency?from=999999', 'from'],
    ['/proof/consistency?from=3&to=2', 'from'],
  ])('%s names how large the log is', async (path, where) => {
    const reply = await ask(path);
    const { faults } = expectProblem(reply, 400, 'invalid_request') as unknown as {
      faults: { where: string; fault: string }[];
    };
    expect(faults).toEqual([{ where, fault: expect.stringContaining(`${await sizeNow()} entries now`) }]);
  });

  test.each([
    '?seq=-1',
    '?seq=01',
    '?seq=1.0',
    '?seq=1e3',
    '?seq=9007199254740993',
    '?seq=0&size=99999999999999999999',
    '?seq=0&seq=1',
    '?seq=',
    '?seq=0&more=1',
    '',
  ])('what is no place is refused: %s', async (query) => {
    expectProblem(await ask(`/proof/inclusion${query}`), 400, 'invalid_request');
  });
});

describe('H-5 an entry with its proof', () => {
  const provable = async (person: Person, organisation: string | null): Promise<EntryProof> => {
    await http.post('/v1/audit/search', { token: await person.token(), json: { limit: 1 } });
    return jsonOf<EntryProof>(await ask(`/entries/${await newestOf(organisation)}/proof`, person), 200);
  };

  test('body and salt give the commitment, that the leaf, and the proof leads to the root', async () => {
    const { compliance, id } = scene.home;
    for (const proof of [await provable(compliance, id), await provable(scene.installationAuditor, null)]) {
      const commitment = sha256(Buffer.of(2), bytes(proof.salt), Buffer.from(proof.body));
      expect(commitment.toString('base64')).toBe(proof.commitment);
      expect(sha256(Buffer.of(0, 1), commitment).toString('base64')).toBe(proof.leaf);
      expect(rootOf(proof)).toBe(proof.root);
    }
  });

  test('asking for it is an entry, and so is asking for somebody else’s', async () => {
    const { compliance, id } = scene.home;
    const seq = await newestOf(id);
    const before = await sizeNow();
    jsonOf(await ask(`/entries/${seq}/proof`), 200);
    expectProblem(await ask(`/entries/${await newestOf(scene.foreign.id)}/proof`), 404, 'not_found');
    expectProblem(await ask('/entries/999999/proof'), 404, 'not_found');
    expect(
      await rows(
        `SELECT (facts).action, (facts).outcome, (facts).actor, body::jsonb -> 'detail' AS detail
                    FROM audit.entry WHERE seq >= $1 ORDER BY seq`,
        [before],
      ),
    ).toEqual([
      {
        action: 'log.read',
        outcome: 'success',
        actor: compliance.id,
        detail: { count: 1, first: seq, last: seq },
      },
      ...['denied', 'denied'].map((outcome) => ({
        action: 'log.read',
        outcome,
        actor: compliance.id,
        detail: { count: 0, first: null, last: null },
      })),
    ]);
  });

  test('it is proven to a checkpoint that has it, made now for an entry that is in none yet', async () => {
    const { compliance, id } = scene.home;
    const proof = await provable(compliance, id);
    expect(proof.size).toBeGreaterThan(proof.seq);
    expect(proof.checkpoint?.split('\n').slice(1, 3)).toEqual([String(proof.size), proof.root]);
    const again = jsonOf<EntryProof>(await ask(`/entries/${proof.seq}/proof`), 200);
    expect(again.checkpoint?.split('\n')[1]).toBe(String(again.size));
  });

  test('one that is not the entry committed to is not shown', async () => {
    const seq = await newestOf(scene.home.id);
    const tamper = (body: string) =>
      inDatabase(
        vault.folder,
        async (client) => {
          await client.query('ALTER TABLE audit.entry DISABLE TRIGGER refuse_change');
          await client.query(`UPDATE audit.entry SET body = ${body} WHERE seq = $1`, [seq]);
          await client.query('ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER refuse_change');
        },
        'superuser',
      );
    await tamper(`replace(body, '"outcome":"success"', '"outcome":"failed"')`);
    const { detail } = expectProblem(await ask(`/entries/${seq}/proof`), 502, 'integrity_failure');
    // It is an entry that is at fault here, and no recording.
    expect(detail).not.toMatch(/recording/i);
    expect(detail).toContain(`Entry ${seq} of the access log`);
    const read = await ask(`/entries/${seq}`);
    expect(expectProblem(read, 502, 'integrity_failure').detail).toContain(`Entry ${seq} of the`);
    await tamper(`replace(body, '"outcome":"failed"', '"outcome":"success"')`);
    jsonOf(await ask(`/entries/${seq}/proof`), 200);
  });
});
