import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { canary, hitsBelow, hitsIn } from '../support/canary.ts';
import { release, taintedAudio, taintedMetadata } from '../support/canary-flight.ts';
import { createHttpClient, type Reply } from '../support/http-client.ts';
import { createIntegrator } from '../support/integrator.ts';
import { startScene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/**
 * G-1: a caller's number, wherever an outsider may put it, is nowhere in plain text afterwards. The canary flies through
 * every part of every request; then everything that is kept or said is searched for it, in every spelling.
 */
let scene: Awaited<ReturnType<typeof startScene>>;
/** Every answer but those in which a nurse reads her own calls. */
const answers: Reply[] = [];
let fromSockets: string[];
let rightfully = 0;

/** What a nurse is told about her own patients is the one place where the number belongs. */
const rightful = (reply: Reply): boolean => {
  const yes = reply.status === 200 && reply.text.includes('"callerNumber":"');
  if (yes) rightfully += 1;
  return yes;
};

beforeAll(async () => {
  scene = await startScene({ LOG_LEVEL: 'trace', METRICS_PORT: '0' }, (reply) => {
    if (!rightful(reply)) answers.push(reply);
  });
  fromSockets = await release(scene);
});
afterAll(() => scene.close());

test('the calls are found by their numbers, heard, and one of them erased', async () => {
  const people = createIntegrator(scene);
  const { own, home } = scene;
  const found = await people.search(own.nurse, { callerNumber: canary.number });
  expect(found).toHaveLength(6);
  expect(await people.search(own.nurse, { personalNumber: canary.personalNumber })).toEqual(found);
  const { id } = await people.deliver(taintedMetadata(), taintedAudio());
  const token = await own.nurse.token();
  await scene.http.get(`/v1/recordings/${id}`, { token });
  const opened = await people.listening(own.nurse, id);
  // Sound is for the nurse: its answer is looked at here and not with the others.
  const sound = await opened.listen();
  expect(sound.body.equals(taintedAudio())).toBe(true);
  answers.splice(answers.indexOf(sound), 1);
  await scene.http.get(opened.peaksUrl, { token });
  const noted = { purpose: 'care', reason: `she called from ${canary.number}` };
  expect((await people.open(own.nurse, id, noted)).status).toBe(400);
  for (const mark of ['\u200b', ', ', '/']) {
    const reason = [...canary.digits].join(mark);
    expect((await people.open(own.nurse, id, { purpose: 'care', reason })).status).toBe(400);
  }
  expect((await people.open(own.nurse, id, { purpose: 'care', reason: 'un\u00adseen' })).status).toBe(400);
  const erase = async (decisionReference: string): Promise<number> => {
    const ask = {
      token: await home.admin.token(),
      json: { reason: 'authority_decision', decisionReference },
    };
    return (await scene.http.delete(`/v1/recordings/${id}`, ask)).status;
  };
  expect(await erase(`IVO ${canary.digits}`)).toBe(400);
  expect(await erase(`IVO ${[...canary.digits].join('\u2060')}`)).toBe(400);
  expect(await erase('IVO\u200b 2026-1')).toBe(400);
  expect(await erase('IVO 2026-1')).toBe(204);
  await people.entries({});
  expect(rightfully).toBeGreaterThan(2);
});

test('no answer says it, whether it refuses or accepts', () => {
  const said = [
    ...answers.map(({ status, text, headers }) => `${status} ${JSON.stringify(headers)} ${text}`),
    ...fromSockets,
  ];
  expect(answers.filter(({ status }) => status >= 400).length).toBeGreaterThan(50);
  expect(fromSockets.filter((text) => text.startsWith('HTTP/1.1 4')).length).toBeGreaterThan(3);
  expect(answers.filter(({ status }) => status >= 500).map(({ text }) => text)).toEqual([]);
  expect(said.filter((one) => hitsIn(one).length > 0)).toEqual([]);
});

test('neither log nor metrics say it, at level trace', async () => {
  const port = /metrics on port (\d+)/.exec(scene.vault.output())?.[1];
  const metrics = createHttpClient(`http://127.0.0.1:${port}`);
  const { text } = await metrics.get('/metrics');
  metrics.close();
  expect(text).toContain('callvault_http_requests_total{route="/v1/ingest/:name",method="PUT",status="201"}');
  expect(hitsIn(text)).toEqual([]);
  const lines = scene.vault.output().split('\n');
  expect(lines.length).toBeGreaterThan(100);
  expect(lines.filter((line) => hitsIn(line).length > 0)).toEqual([]);
});

test('the log holds no token, key or password either', async () => {
  const { source, admin } = scene.home;
  const secrets = [source.apiKey, source.clientSecret, admin.password, await scene.own.nurse.token()];
  const output = scene.vault.output();
  expect(secrets.filter((secret) => output.includes(secret))).toEqual([]);
  expect(output).not.toMatch(/Bearer|authorization|__Host-cv=/i);
});

/** COPY of every table of every schema, as text and as bytes, into a folder. */
const copyEverything = (folder: string): Promise<string[]> =>
  inDatabase(
    scene.folder,
    async (client) => {
      await client.query('ANALYZE');
      const { rows } = await client.query<{ name: string }>(
        `SELECT c.oid::regclass::text AS name FROM pg_class c WHERE relkind IN ('r', 'm') ORDER BY 1`,
      );
      // Some types of the catalogue have no binary form.
      for (const [index, { name }] of rows.entries())
        for (const format of name.startsWith('pg_') ? ['text'] : ['text', 'binary'])
          await client.query(`COPY ${name} TO '${folder}/${index}.${format}' (FORMAT ${format})`);
      await client.query('CHECKPOINT');
      return rows.map(({ name }) => name);
    },
    'superuser',
  );

test('I-1 no table of any schema holds it', async () => {
  const folder = await mkdtemp(join(scene.folder.home, 'copy-'));
  const tables = await copyEverything(folder);
  expect(tables).toEqual(expect.arrayContaining(['recording', 'playback', 'audit.leaf', 'pg_statistic']));
  const { files, hits } = await hitsBelow(folder);
  expect(files).toBeGreaterThan(tables.length);
  expect(hits).toEqual([]);
  await rm(folder, { recursive: true });
});

test('the search itself finds every spelling', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'canary-'));
  const { number, international, digits, personalNumber, word } = canary;
  const spellings: readonly (string | Buffer)[] = [
    number,
    international,
    digits,
    '0046 70 174 06 93',
    '(070) 174.06.93',
    encodeURIComponent(number),
    personalNumber,
    '900101+9802',
    'QuOkKa',
    Buffer.from(number, 'utf16le'),
    Buffer.from(number, 'utf16le').swap16(),
    Buffer.from(word, 'utf16le'),
    ...['', 'a', 'ab'].flatMap((before) =>
      [digits, word].map((text) => Buffer.from(`${before}${text}xyz`).toString('base64')),
    ),
    Buffer.from(digits).toString('hex'),
    Buffer.from(word).toString('hex').toUpperCase(),
    Buffer.from(new BigInt64Array([46701740693n]).buffer),
  ];
  for (const [index, spelling] of spellings.entries()) {
    expect([spelling, hitsIn(Buffer.concat([Buffer.alloc(9, 7), Buffer.from(spelling)]))]).not.toEqual([
      spelling,
      [],
    ]);
    await writeFile(join(folder, String(index)), spelling);
  }
  expect(new Set((await hitsBelow(folder)).hits.map((hit) => hit.split(':')[0])).size).toBe(spellings.length);
  await rm(folder, { recursive: true });
});

test('no file holds it, after the vault has closed: database, write-ahead log, objects, keys, names', async () => {
  expect(await scene.vault.stop()).toBe(0);
  const { files, hits } = await hitsBelow(scene.folder.home);
  expect(files).toBeGreaterThan(900);
  expect(hits).toEqual([]);
});

test('the same searches find it where it is: in a table made for the purpose', async () => {
  const vault = await scene.folder.start();
  await inDatabase(
    scene.folder,
    (client) => client.query(`CREATE TABLE leak AS SELECT '${canary.number}'::text AS caller`),
    'superuser',
  );
  const folder = await mkdtemp(join(scene.folder.home, 'copy-'));
  await copyEverything(folder);
  expect((await hitsBelow(folder)).hits.length).toBeGreaterThanOrEqual(2);
  await rm(folder, { recursive: true });
  await vault.stop();
  const { hits } = await hitsBelow(scene.folder.dataDir);
  expect(hits.filter((hit) => hit.includes('/base/')).length).toBeGreaterThan(0);
  expect(hits.filter((hit) => hit.includes('/pg_wal/')).length).toBeGreaterThan(0);
});
