import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPbxHost, type PbxHost } from '../support/agent.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf } from '../support/http-client.ts';
import { startScene } from '../support/scene.ts';

/** The dialplan of docs/telephony.md, with what Asterisk would put in the place of its variables, and its shell. */
const AGENT = join(import.meta.dirname, '../../src/cli/agent-main.ts');
const lines = readFileSync(join(import.meta.dirname, '../../docs/telephony.md'), 'utf8').split('\n');
const lineWith = (text: string): string => lines.find((line) => line.includes(text)) ?? '';

let scene: Awaited<ReturnType<typeof startScene>>;
let host: PbxHost;
beforeAll(async () => {
  scene = await startScene();
  host = createPbxHost(scene.home.source.apiKey);
});
afterAll(async () => {
  await host?.close();
  await scene?.close();
});

test('the side file and the post command deliver the call with its number, which no command line shows', async () => {
  const uniqueId = '1772349330.42';
  const file = join(host.spool, `${uniqueId}.wav`);
  // FILTER(0-9+,…) leaves digits and plus signs of whatever the caller sent.
  const evaluated = (text: string): string =>
    text
      .replace(
        /\$\{FILTER\(0-9\+,\$\{CALLERID\(num\)\}\)\}/,
        '"; reboot +46701740622`'.replace(/[^0-9+]/g, ''),
      )
      .replace(/\$\{STRFTIME\(\$\{EPOCH\},UTC,[^)]*\)\}/, '2026-03-01T07:15:30Z')
      .replace(/\$\{UNIQUEID\}/g, uniqueId)
      .replace(/\$\{F\}/g, file);
  const side = /Set\(FILE\(\$\{F\}\.json\)=(.*)\)$/.exec(lineWith('Set(FILE('))?.[1] ?? '';
  const command = /MixMonitor\(\$\{F\},,(.*)\)$/.exec(lineWith('push --remove'))?.[1] ?? '';
  writeFileSync(`${file}.json`, evaluated(side));
  writeFileSync(file, generatedCall(1, 13_001));
  const run = evaluated(command)
    .replace('/usr/bin/node /usr/local/lib/callvault/callvault-agent.js', `${process.execPath} ${AGENT}`)
    .replace('https://vault.example.se', scene.vault.url)
    .replace('/etc/callvault/asterisk.key', host.keyFile);
  expect(run).not.toMatch(/\$|0701740622|46701740622/);
  const { code, err } = await host.run(['-c', run], { program: ['/bin/sh'] });
  expect({ code, err, left: host.names() }).toEqual({ code: 0, err: '', left: [] });
  const { recordings } = jsonOf<{ recordings: object[] }>(
    await scene.http.post('/v1/recordings/search', {
      token: await scene.own.nurse.token(),
      json: { callId: uniqueId, callerNumber: '0701740622' },
    }),
    200,
  );
  expect(recordings).toMatchObject([{ direction: 'inbound', startedAt: '2026-03-01T07:15:30.000Z' }]);
});

test('the media type of sound without a container: a comment for extensions.conf without its backslashes', async () => {
  const [, written = ''] = /--media-type\s+'(audio\/x-slin[^']*)'/.exec(lines.join('\n')) ?? [];
  expect(written).toMatch(/^audio\/x-slin(\\;\w+=\d+)+$/);
  const file = join(host.spool, '1772349330.43.slin');
  writeFileSync(file, Buffer.alloc(32_000));
  const { code, out, err } = await host.run([
    ...['push', '--url', scene.vault.url, '--key-file', host.keyFile, '--call-id', '1772349330.43'],
    ...['--media-type', written.replaceAll('\\;', ';'), file],
  ]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const id = out.split('\t')[1] ?? '';
  const facts = await scene.http.get(`/v1/recordings/${id}`, { token: await scene.own.nurse.token() });
  // Two channels of 16 bits at 8,000 in a second.
  expect(jsonOf(facts, 200)).toMatchObject({ durationMs: 1_000 });
});
