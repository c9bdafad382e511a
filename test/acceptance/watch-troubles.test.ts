import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { AGENT } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { end, ofKind, watchesFolder } from '../support/watch-folder.ts';

/** `callvault watch` where the vault, its own disk or the folder are not as they should be, and when it is told to end. */
const pbx = watchesFolder();
const { argsOf, newCall, once, serverOf, watch } = pbx;

test('a state that cannot be written: said once, nothing is removed, and the rest goes on', async () => {
  pbx.host.put('a.wav', newCall());
  const agent = watch(['--keep', '--state', '/proc/callvault/state']);
  expect((await agent.ended).code).toBe(3);
  // A disk that is full: a file system of one page, filled.
  const small = join(pbx.host.home, 'small');
  mkdirSync(small);
  const mounted = `mount -t tmpfs -o size=8k tmpfs "$1" && printf 'callvault watch 1\\n' > "$1/s" && chmod 600 "$1/s" && chmod 700 "$1" && { dd if=/dev/zero of="$1/fill" bs=4k count=8 2>/dev/null; head -c 4078 /dev/zero >> "$1/s"; true; }; shift; exec "$@"`;
  const full = pbx.host.start(argsOf(['--keep', '--state', join(small, 's')]), {
    program: [
      'unshare',
      '--mount',
      ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
      'sh',
      '-c',
      mounted,
      'sh',
      small,
      process.execPath,
      AGENT,
    ],
  });
  await until(() => ofKind(full, 'stored').length === 1 && ofKind(full, 'trouble').length === 1);
  pbx.host.put('b.wav', newCall());
  await until(() => ofKind(full, 'stored').length === 2);
  expect(ofKind(full, 'trouble')).toEqual([{ event: 'trouble', what: 'state', code: 'unwritten' }]);
  expect(await end(full)).toBe(0);
  expect(pbx.host.names()).toEqual(['a.wav', 'b.wav']);
});

test('the vault is away for a while, and then not: every file arrives, once', async () => {
  let up = false;
  let asked = 0;
  let underWay = 0;
  const atOnce: number[] = [];
  const target = new URL(pbx.scene.vault.url);
  const { request: forward } = await import('node:http');
  const url = await serverOf((request, answer) => {
    asked += 1;
    if (!up) {
      underWay += 1;
      atOnce.push(underWay);
      // Not at once, so that another that did not wait for it would be seen.
      request.resume().on('end', async () => {
        await sleep(100);
        underWay -= 1;
        answer.writeHead(asked % 2 ? 503 : 507, { 'retry-after': '0' }).end();
      });
      return;
    }
    const onward = forward(
      {
        host: target.hostname,
        port: target.port,
        path: request.url,
        method: request.method,
        headers: request.headers,
      },
      (got) => {
        answer.writeHead(got.statusCode ?? 500, got.headers);
        got.pipe(answer);
      },
    );
    request.pipe(onward);
  });
  for (let n = 0; n < 6; n += 1) pbx.host.put(`${n}.wav`, newCall());
  const agent = watch([], url);
  await until(() => asked > 12);
  expect(pbx.host.names()).toHaveLength(6);
  // Once the first have failed one at a time is tried, not six.
  expect(new Set(atOnce.slice(6))).toEqual(new Set([1]));
  up = true;
  await until(() => pbx.host.names().length === 0);
  await end(agent);
  expect(ofKind(agent, 'stored')).toHaveLength(6);
  expect(ofKind(agent, 'later').every(({ vault }) => vault === true)).toBe(true);
});

test('one file that never gets through does not hold up the others', async () => {
  const poison = newCall(3);
  const target = new URL(pbx.scene.vault.url);
  const { request: forward } = await import('node:http');
  const url = await serverOf((request, answer) => {
    if (request.headers['content-length'] === String(poison.length)) {
      request.socket.destroy();
      return;
    }
    request.pipe(
      forward(
        {
          host: target.hostname,
          port: target.port,
          path: request.url,
          method: request.method,
          headers: request.headers,
        },
        (got) => {
          answer.writeHead(got.statusCode ?? 500, got.headers);
          got.pipe(answer);
        },
      ),
    );
  });
  pbx.host.put('0-poison.wav', poison);
  for (let n = 1; n < 6; n += 1) pbx.host.put(`${n}.wav`, newCall());
  const agent = watch(['--concurrency', '1'], url);
  await until(() => pbx.host.names().length === 1);
  expect(pbx.host.names()).toEqual(['0-poison.wav']);
  await end(agent);
});

test.each<[string, string, RegExp]>([
  ['a wrong key', 'unauthenticated', /key/],
  ['another address', 'http_404', /URL/],
  ['nobody', 'unreachable', /running/],
])('%s: said clearly and seldom, the file is kept, tried again', async (what, code, words) => {
  pbx.host.put('a.wav', newCall());
  let url = pbx.scene.vault.url;
  if (what === 'a wrong key') writeFileSync(pbx.host.keyFile, 'cvk_wrong');
  if (what === 'another address')
    url = await serverOf((request, answer) => request.resume().on('end', () => answer.writeHead(404).end()));
  if (what === 'nobody') url = 'http://127.0.0.1:1';
  const agent = pbx.host.start(argsOf([], url).filter((arg) => arg !== '--json'));
  await until(() => words.test(agent.said()));
  await sleep(2_000);
  expect(agent.said()).toMatch(
    new RegExp(`^callvault: Not stored, and kept: [^\\n]+ \\(${code}\\); next try in \\d+ s\\n$`),
  );
  expect(pbx.host.names()).toEqual(['a.wav']);
  expect(await end(agent)).toBe(0);
  expect(await once([], url)).toMatchObject({ code: 3 });
});

test('SIGTERM: what is under way ends, nothing new begins; a second one cuts it off', async () => {
  const held: (() => void)[] = [];
  const url = await serverOf((request, answer) => {
    const hash = createHash('sha256');
    request.on('data', (piece: Buffer) => hash.update(piece));
    request.on('end', () => {
      const body = JSON.stringify({ id: randomUUID(), sha256: hash.digest('hex') });
      held.push(() => answer.writeHead(201).end(body));
    });
  });
  for (let n = 0; n < 4; n += 1) pbx.host.put(`${n}.wav`, newCall());
  const agent = watch(['--concurrency', '2'], url);
  await until(() => held.length === 2);
  agent.signal('SIGTERM');
  // It has nothing else to do, so it is heard by then.
  await sleep(2_000);
  for (const answer of held) answer();
  expect((await agent.ended).code).toBe(0);
  expect(held).toHaveLength(2);
  expect(pbx.host.names()).toHaveLength(2);

  held.length = 0;
  const other = watch(['--concurrency', '2'], url);
  await until(() => held.length === 2);
  // Two that come before it has looked are one.
  const signalling = setInterval(() => other.signal('SIGTERM'), 500);
  const { code } = await other.ended;
  clearInterval(signalling);
  expect(code).toBe(0);
  expect(pbx.host.names()).toHaveLength(2);
});

test('the folder goes away and comes back, as a share does', async () => {
  const agent = watch();
  pbx.host.put('before.wav', newCall());
  await until(() => pbx.host.names().length === 0);
  const away = `${pbx.host.spool}.away`;
  renameSync(pbx.host.spool, away);
  await until(() => ofKind(agent, 'trouble').length > 0);
  renameSync(away, pbx.host.spool);
  pbx.host.put('a.wav', newCall());
  await until(() => pbx.host.names().length === 0);
  expect(ofKind(agent, 'trouble')).toEqual([{ event: 'trouble', what: 'folder', code: 'ENOENT' }]);
  await end(agent);
});
