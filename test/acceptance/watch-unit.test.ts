import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPbxHost, type PbxHost } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { startScene } from '../support/scene.ts';

/** `deploy/callvault-watch.service`, as far as it can be tried without systemd: what it says, and the command it runs. */
let scene: Awaited<ReturnType<typeof startScene>>;
let host: PbxHost;
const unit = readFileSync(join(import.meta.dirname, '../../deploy/callvault-watch.service'), 'utf8');
const settings = unit
  .split('\n')
  .filter((line) => /^[A-Z]\w*=/.test(line))
  .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const);
const valuesOf = (name: string): string[] =>
  settings.filter(([key]) => key === name).map(([, value]) => value);

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
  const [node, program, ...args] = command.split(' ');
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
  const given = args.map((arg) => arg.replace(/\$\{(\w+)\}/g, (_, name) => env[name as keyof typeof env]));
  host.put('a.mp3', Buffer.from('\x7fELF and more of it', 'latin1'));
  host.put('b.wav', generatedCall(1, 8_101));
  const agent = host.start([...given, '--interval', '0.2'], { env });
  await until(() => host.names().length === 1 && /Refused/.test(agent.said()));
  agent.signal('SIGTERM');
  expect((await agent.ended).code).toBe(0);
  expect(statSync(join(state, 'watch.state')).size).toBeGreaterThan(50);
});
