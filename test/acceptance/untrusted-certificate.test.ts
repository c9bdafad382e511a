import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPbxHost, type PbxHost } from '../support/agent.ts';
import { makeCertificate } from '../support/certificates.ts';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';

/** What answers has a certificate that nobody here vouches for: it gets nothing, and only an option mends that. */
let host: PbxHost;
let server: Server;
let asked = 0;
let vault: readonly string[];

beforeAll(async () => {
  host = createPbxHost('cvk_nobody');
  const { certFile, keyFile } = makeCertificate(host.home, 'unknown');
  server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (_, answer) => {
    asked += 1;
    answer.writeHead(500).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vault = [
    '--url',
    `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    '--key-file',
    host.keyFile,
  ];
  host.put('a.wav', generatedCall(1));
});
afterAll(async () => {
  await host?.close();
  server?.close();
});

const SAID = /certificate is self-signed: name it with --ca/;

test.each([
  ['the bare command', []],
  ['a unit that is asked about before', ['--field', 'careUnit=Advice']],
])(
  'import ends at once with 3 and says what to do: %s',
  async (_, more) => {
    const journal = join(host.home, `journal-${more.length}`);
    const args = ['import', host.spool, ...vault, '--journal', journal, '--min-age', '0', ...more];
    const { code, err } = await host.run(args);
    expect([code, err]).toEqual([3, expect.stringMatching(SAID)]);
    expect(err).not.toContain('tried again');
    expect(host.names()).toEqual(['a.wav']);
  },
  20_000,
);

test('push ends at once with 3, however long it may try', async () => {
  const file = join(host.spool, 'a.wav');
  const { code, err } = await host.run(['push', ...vault, '--try-for', '3600', file]);
  expect([code, err]).toEqual([3, expect.stringMatching(SAID)]);
}, 20_000);

test('watch says so and goes on', async () => {
  const agent = host.start([
    'watch',
    host.spool,
    ...vault,
    '--interval',
    '0.1',
    '--longest-pause',
    '0.2',
    '--unseen-rest',
    '0',
  ]);
  await until(() => SAID.test(agent.said()));
  expect(agent.said()).toMatch(/kept: the certificate .*; next try in/);
  agent.signal('SIGTERM');
  expect((await agent.ended).code).toBe(0);
  expect(host.names()).toEqual(['a.wav']);
}, 20_000);

test('nothing was sent to it', () => expect(asked).toBe(0));

test('what is no number for a command line is advised about as the command can take it', async () => {
  const given = ['--field', 'callerNumber=0701740605'];
  for (const command of [
    ['import', host.spool],
    ['watch', host.spool],
  ]) {
    const { code, err } = await host.run([...command, ...vault, ...given]);
    expect([code, err]).toEqual([2, expect.stringContaining('goes into a side file.')]);
  }
  const pushed = await host.run(['push', ...vault, ...given, join(host.spool, 'a.wav')]);
  expect(pushed.err).toMatch(/side file, a variable .*--metadata-stdin/);
  const help = await host.run(['import', '--help']);
  expect(help.out.replace(/\s+/g, ' ')).toContain('(callId, caller, called, personal, agent,');
});

test('an inventory counts a name with an identity number as one with a number', async () => {
  host.put('19121212-1212 samtal.wav', generatedCall(1, 7));
  const { out } = await host.run(['import', host.spool, '--dry-run']);
  const inventory = JSON.parse(out.trimEnd().split('\n').at(-1) as string);
  expect(inventory).toMatchObject({ event: 'inventory', namesWithNumber: 1, namesPerhaps: 0 });
});
