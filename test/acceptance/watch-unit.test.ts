import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPbxHost, type PbxHost } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { startScene } from '../support/scene.ts';

/** `deploy/callvault-watch.service`, as far as it can be tried without systemd: what it says, and the command it runs. */
let scene: Awaited<ReturnType<typeof startScene>>;
let host: PbxHost;
const settingsOf = (name: string): (readonly [string, string])[] =>
  readFileSync(join(import.meta.dirname, '../../deploy', name), 'utf8')
    .split('\n')
    .filter((line) => /^[A-Z]\w*=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const);
const settings = settingsOf('callvault-watch.service');
const valuesOf = (name: string, from = settings): string[] =>
  from.filter(([key]) => key === name).map(([, value]) => value);
/** What the unit runs, with what systemd gives it. */
const commandOf = (env: Readonly<Record<string, string>>): string[] =>
  (valuesOf('ExecStart')[0] ?? '')
    .split(' ')
    .slice(2)
    .map((arg) => arg.replace(/\$\{(\w+)\}/g, (_, name: string) => env[name] ?? ''));

beforeAll(async () => {
  scene = await startScene();
  host = createPbxHost(scene.home.source.apiKey);
});
afterAll(async () => {
  await host?.close();
  await scene?.close();
});

test('it runs as nobody who may do more than it needs, and has no key in a line', () => {
  expect(valuesOf('User')[0]).not.toBe('root');
  for (const name of [
    'NoNewPrivileges',
    'ProtectHome',
    'PrivateTmp',
    'PrivateDevices',
    'RestrictSUIDSGID',
    'RestrictNamespaces',
  ])
    expect([name, valuesOf(name)]).toEqual([name, ['yes']]);
  expect(valuesOf('ProtectSystem')).toEqual(['strict']);
  expect(valuesOf('CapabilityBoundingSet')).toEqual(['']);
  expect(valuesOf('ReadWritePaths')).toHaveLength(1);
  expect(valuesOf('LoadCredential')[0]).toMatch(/^source-key:\//);
  expect(valuesOf('Environment')).toEqual([]);
  expect(Number(valuesOf('TimeoutStopSec')[0])).toBeGreaterThan(60);
});

test('the command it runs, with what systemd gives it, empties the folder and keeps its state where it may', async () => {
  const [command = ''] = valuesOf('ExecStart');
  const [node, program] = command.split(' ');
  expect([node, program]).toEqual(['/usr/bin/node', '/usr/local/lib/callvault/callvault-agent.js']);
  const [credentials, state] = [join(host.home, 'credentials'), join(host.home, 'state')];
  mkdirSync(credentials);
  mkdirSync(state, { mode: 0o700 });
  writeFileSync(join(credentials, 'source-key'), scene.home.source.apiKey);
  // As the access list that systemd sets shows in a mode.
  chmodSync(join(credentials, 'source-key'), 0o440);
  const env = {
    CALLVAULT_URL: scene.vault.url,
    CALLVAULT_FOLDER: host.spool,
    CREDENTIALS_DIRECTORY: credentials,
    STATE_DIRECTORY: state,
  };
  host.put('a.mp3', Buffer.from('\x7fELF and more of it', 'latin1'));
  host.put('b.wav', generatedCall(1, 8_101));
  const agent = host.start([...commandOf(env), '--interval', '0.2', '--unseen-rest', '0'], { env });
  await until(() => host.names().length === 1 && /Refused/.test(agent.said()));
  agent.signal('SIGTERM');
  expect((await agent.ended).code).toBe(0);
  expect(statSync(join(state, 'watch.state')).size).toBeGreaterThan(50);
});

test('what is wrong on the command line ends it for good, and what may be mended does not', async () => {
  expect(valuesOf('RestartPreventExitStatus')).toEqual(['2']);
  expect(valuesOf('Restart')).toEqual(['always']);
  const env = { CALLVAULT_FOLDER: host.spool, CREDENTIALS_DIRECTORY: host.home };
  expect((await host.run(commandOf(env), { env })).code).toBe(2);
  const unmounted = { ...env, CALLVAULT_FOLDER: '/nowhere', CALLVAULT_URL: scene.vault.url };
  expect((await host.run(commandOf(unmounted), { env: unmounted })).code).toBe(3);
});

test('with callvault-watch-sealed.conf beside it, what it delivers is sealed and signed', async () => {
  const conf = settingsOf('callvault-watch-sealed.conf');
  const source = await scene.stage.source(scene.home.admin, scene.own.id);
  const credentials = join(host.home, 'sealed-credentials');
  mkdirSync(credentials);
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const answer = await scene.http.get('/v1/edge-key', { token: source.apiKey });
  const contents: Readonly<Record<string, string | Buffer>> = {
    'source-key': source.apiKey,
    'signing-key': privateKey.export({ type: 'pkcs8', format: 'pem' }),
    'edge-key': JSON.stringify(jsonOf(answer, 200)),
  };
  const named = [...valuesOf('LoadCredential'), ...valuesOf('LoadCredential', conf)].map(
    (value) => value.split(':')[0] ?? '',
  );
  expect(named.toSorted()).toEqual(Object.keys(contents).toSorted());
  for (const name of named) writeFileSync(join(credentials, name), contents[name] ?? '', { mode: 0o440 });
  const signingKey = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64url');
  jsonOf(
    await scene.http.patch(`/v1/admin/sources/${source.id}`, {
      token: await scene.home.admin.token(),
      json: { signingKey },
    }),
    200,
  );
  const env = {
    CALLVAULT_URL: scene.vault.url,
    CALLVAULT_FOLDER: host.spool,
    CREDENTIALS_DIRECTORY: credentials,
    STATE_DIRECTORY: join(host.home, 'sealed-state'),
    ...Object.fromEntries(
      valuesOf('Environment', conf).map((value) => value.replaceAll('%d', credentials).split('=', 2)),
    ),
  };
  host.put('sealed.wav', generatedCall(1, 8_102));
  // This source takes nothing unsealed.
  const ended = await host.run(
    [...commandOf(env), '--interval', '0.2', '--unseen-rest', '0', '--once', '--json'],
    { env },
  );
  expect([ended.err, ended.out]).toEqual([
    '',
    expect.stringMatching(/"event":"stored".*"removal":"removed"/),
  ]);
});
