import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { build, endStarted, start } from '../support/release.ts';
import { startScene } from '../support/scene.ts';

/** `dist/callvault-agent.js`: one file, on a telephony host that has Node and nothing else. */
let base: string;
let agent: string;
let scene: Awaited<ReturnType<typeof startScene>>;

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'cvg-'));
  const dist = join(base, 'dist');
  build(dist);
  agent = join(dist, 'callvault-agent.js');
  scene = await startScene();
});
afterEach(endStarted);
afterAll(async () => {
  rmSync(base, { recursive: true, force: true });
  await scene?.close();
});

/** The Node of this machine, if it is new enough, and the one that comes with Callvault. */
const nodes = ['/usr/bin/node', '/usr/local/bin/node', process.execPath].filter((path) => {
  if (!existsSync(path)) return false;
  const [, major = '0', minor = '0'] =
    /^v(\d+)\.(\d+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' })) ?? [];
  return Number(major) > 20 || (major === '20' && Number(minor) >= 16);
});

/** A folder as somebody might put the file into: alone, or beside a package that says what kind of module files are. */
const placed = (name: string, manifest: string | null): string => {
  const folder = mkdtempSync(join(base, 'host-'));
  if (manifest !== null) writeFileSync(join(folder, 'package.json'), manifest);
  copyFileSync(agent, join(folder, name));
  return join(folder, name);
};
const places: readonly (readonly [string, string | null])[] = [
  ['callvault-agent.js', null],
  ['callvault-agent', null],
  ['callvault-agent.js', '{"type":"module"}'],
  ['callvault-agent.js', '{"type":"commonjs"}'],
];

test('imports nothing, and holds nothing of the machine that made it', () => {
  const whole = readFileSync(agent, 'utf8');
  const text = whole.replaceAll(/^\s*\*.*$/gm, '');
  expect(text.startsWith('#!/usr/bin/env node\n')).toBe(true);
  expect(/^\s*(import|export)\s|\brequire\(|\bimport\(|import\.meta/m.exec(text)?.[0]).toBeUndefined();
  expect(whole.includes(process.cwd())).toBe(false);
});

let seed = 7_000;
for (const node of nodes)
  for (const [name, manifest] of places)
    test(`${node}: pushes and empties a folder as ${name} beside ${manifest ?? 'nothing'}, without PATH or HOME`, async () => {
      const program = placed(name, manifest);
      const home = mkdtempSync(join(base, 'spool-'));
      const spool = join(home, 'spool');
      mkdirSync(spool);
      writeFileSync(join(home, 'key'), scene.home.source.apiKey, { mode: 0o600 });
      const vault = ['--url', scene.vault.url, '--key-file', join(home, 'key')];
      const put = (file: string): string => {
        seed += 1;
        // Several pieces of a file, and larger than what is freed by hand.
        writeFileSync(join(spool, file), generatedCall(40, seed));
        return join(spool, file);
      };
      const pushed = await start([node, program, 'push', ...vault, '--remove', put('a.wav')]).ended;
      expect(pushed).toMatchObject({ code: 0, err: '', out: expect.stringMatching(/^stored\t/) });
      put('b.wav');
      const watched = await start([
        node,
        program,
        'watch',
        spool,
        ...vault,
        '--once',
        '--interval',
        '0.1',
        '--unseen-rest',
        '0',
        '--json',
      ]).ended;
      expect(watched).toMatchObject({ code: 0, err: '' });
      expect(watched.out).toMatch(/"removal":"removed"/);
      expect((await start([node, program, 'nonsense']).ended).code).toBe(2);
      expect((await start([node, program, 'push', ...vault, '/nowhere']).ended).code).toBe(3);
    });

for (const node of nodes)
  test(`${node}: seals what it pushes, and imports a share`, async () => {
    const source = await scene.stage.source(scene.home.admin, scene.own.id);
    const home = mkdtempSync(join(base, 'share-'));
    const [key, signing, share] = [join(home, 'key'), join(home, 'signing.pem'), join(home, 'share')];
    mkdirSync(share);
    writeFileSync(key, source.apiKey, { mode: 0o600 });
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    writeFileSync(signing, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
    const signingKey = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64url');
    for (const name of ['a.wav', 'b.wav', 'c.wav']) {
      seed += 1;
      writeFileSync(join(share, name), generatedCall(40, seed));
      utimesSync(join(share, name), 1_500_000_000, 1_500_000_000);
    }
    const run = (...args: string[]) => start([node, agent, ...args]).ended;
    const counted = await run('import', share, '--dry-run');
    expect([counted.code, counted.err]).toEqual([0, '']);
    const vault = ['--url', scene.vault.url, '--key-file', key];
    const imported = await run(
      'import',
      share,
      ...vault,
      '--journal',
      join(home, 'journal'),
      '--wipe',
      '--yes-wipe',
      '3',
    );
    expect([imported.code, readdirSync(share)]).toEqual([0, []]);

    await scene.http.patch(`/v1/admin/sources/${source.id}`, {
      token: await scene.home.admin.token(),
      json: { signingKey },
    });
    writeFileSync(join(home, 'sealed.wav'), generatedCall(40, 1));
    const edgeKey = join(home, 'edge-key.json');
    const answer = await scene.http.get('/v1/edge-key', { token: source.apiKey });
    writeFileSync(edgeKey, JSON.stringify(jsonOf(answer, 200)));
    const sealing = ['--seal-with', signing, '--edge-key', edgeKey];
    const sealed = await run('push', ...vault, ...sealing, join(home, 'sealed.wav'));
    expect(sealed).toMatchObject({ code: 0, out: expect.stringMatching(/^stored\t/) });
  });

test('says its release; too old a Node says so in one sentence', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    version: string;
  };
  expect(await start([process.execPath, agent, '--version']).ended).toMatchObject({
    code: 0,
    out: `${version}\n`,
  });
  // As a Node that lacks what the file asks for.
  const older = join(base, 'older.cjs');
  writeFileSync(older, 'delete process.getBuiltinModule;');
  expect(await start([process.execPath, '--require', older, agent, 'push', 'x']).ended).toEqual({
    code: 3,
    out: '',
    err: expect.stringMatching(/^callvault-agent: needs Node 20\.16 or newer; this is v[\d.]+\.\n$/),
  });
});
