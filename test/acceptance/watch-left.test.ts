import {
  chmodSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { AGENT } from '../support/agent.ts';
import { until } from '../support/child.ts';
import { end, eventsOf, ofKind, watchesFolder } from '../support/watch-folder.ts';

/** `callvault watch`: what it leaves lying, and says of it; and what is mended while it runs. */
const pbx = watchesFolder();
const { argsOf, newCall, once, serverOf, watch } = pbx;

const spoken = (args: readonly string[]): string[] => argsOf(args).filter((arg) => arg !== '--json');

test('two side files: refused once, remembered by every later run, and shown', async () => {
  pbx.host.put('a.wav', newCall());
  for (const name of ['a.wav.json', 'a.json', 'a.wav.xml', 'a.csv', 'a.CSV']) pbx.host.put(name, '{}');
  const state = ['--state', pbx.host.stateFile];
  const first = await once(state);
  expect(first.code).toBe(1);
  expect(eventsOf(first.out)).toMatchObject([
    { event: 'refused', code: 'not_acceptable_metadata' },
    { event: 'end', refused: 1 },
  ]);
  const written = readFileSync(pbx.host.stateFile);
  const second = await once(state);
  expect(second.code).toBe(1);
  expect(eventsOf(second.out)).toMatchObject([{ event: 'end', refused: 1, waiting: 0 }]);
  expect(readFileSync(pbx.host.stateFile)).toEqual(written);
  // Mended, it goes.
  for (const name of ['a.json', 'a.wav.xml', 'a.csv', 'a.CSV'])
    renameSync(join(pbx.host.spool, name), join(pbx.host.home, name));
  expect((await once(state)).code).toBe(0);
  expect(pbx.host.names()).toEqual([]);
});

test('stored and not to be removed: said, 1, and with a state not sent again, by a later run neither', async () => {
  pbx.host.put('a.wav', newCall());
  pbx.host.put('a.wav.json', '{"queue":"advice"}');
  const audio = join(pbx.host.spool, 'a.wav');
  chmodSync(pbx.host.spool, 0o500);
  // Root passes every lock unless it gives that right away.
  const program =
    process.getuid?.() === 0
      ? ['/usr/bin/setpriv', '--bounding-set=-dac_override', '--', process.execPath, AGENT]
      : [process.execPath, AGENT];
  const run = (more: readonly string[]) => pbx.host.run(argsOf(['--once', ...more]), { program });
  const state = ['--state', pbx.host.stateFile];
  const first = await run(state);
  expect(first.code).toBe(1);
  expect(eventsOf(first.out)).toMatchObject([
    { event: 'stored', removal: 'failed', created: true },
    { event: 'trouble', what: 'removal' },
    { event: 'end', stored: 1, removed: 0, unremoved: 1, waiting: 0 },
  ]);
  const second = await run(state);
  expect(second.code).toBe(1);
  expect(eventsOf(second.out)).toMatchObject([{ event: 'end', stored: 0, unremoved: 1 }]);
  // Without a state it is, and the vault knows it.
  const forgetful = await run([]);
  expect(forgetful.code).toBe(1);
  expect(eventsOf(forgetful.out)[0]).toMatchObject({ event: 'stored', removal: 'failed', created: false });
  chmodSync(pbx.host.spool, 0o700);
  utimesSync(audio, new Date(), new Date());
  expect((await once(state)).code).toBe(0);
  expect(existsSync(audio)).toBe(false);
});

test('--with-side-file: what waits for one that does not come is said, and side files without a recording are counted', async () => {
  pbx.host.put('a-0701740690.wav', newCall());
  pbx.host.put('0701740691.wav.json', '{"callerNumber":"0701740691"}');
  pbx.host.put('0701740692.json', '{"callerNumber":"0701740692"}');
  pbx.host.put('notes.txt', 'x');
  const { code, out, err } = await once(['--with-side-file']);
  expect(code).toBe(3);
  expect(eventsOf(out)).toEqual([
    { event: 'missing', what: 'side_file', files: 1 },
    expect.objectContaining({ event: 'end', waiting: 1, withoutSide: 1, sidesAlone: 2, otherKinds: 1 }),
  ]);
  expect(err).toBe('');
  const human = await pbx.host.run(spoken(['--once', '--with-side-file']));
  expect(human.code).toBe(3);
  expect(human.err).toMatch(/^callvault: 1 finished recordings wait for a side file that does not come\.$/m);
  expect(human.err + out).not.toMatch(/07017406/);
  // Not before it is finished, and not after it came.
  pbx.host.put('a-0701740690.wav.json', '{}');
  const then = await once(['--with-side-file']);
  expect(then.code).toBe(0);
  expect(eventsOf(then.out).map(({ event }) => event)).toEqual(['stored', 'end']);
});

test('another key in the key file is taken up by an agent that runs', async () => {
  const good = readFileSync(pbx.host.keyFile, 'utf8');
  writeFileSync(pbx.host.keyFile, 'cvk_wrong\n');
  pbx.host.put('a.wav', newCall());
  const agent = watch();
  await until(() => ofKind(agent, 'later').length > 1);
  expect(ofKind(agent, 'later').every(({ code }) => code === 'unauthenticated')).toBe(true);
  // Whole pauses: a line is read by people, too.
  expect(ofKind(agent, 'later').every(({ pauseMs }) => Number.isInteger(pauseMs))).toBe(true);
  // Half written, or open to others, it is not.
  writeFileSync(pbx.host.keyFile, '');
  chmodSync(pbx.host.keyFile, 0o644);
  await sleep(1_000);
  expect(pbx.host.names()).toEqual(['a.wav']);
  writeFileSync(pbx.host.keyFile, good);
  chmodSync(pbx.host.keyFile, 0o600);
  expect(statSync(pbx.host.keyFile).mode & 0o777).toBe(0o600);
  await until(() => pbx.host.names().length === 0);
  expect(await end(agent)).toBe(0);
});

test('what another agent delivers at this moment is no trouble, and the vault was never away', async () => {
  const tried = new Map<string, number>();
  const target = new URL(pbx.scene.vault.url);
  const { request: forward } = await import('node:http');
  const url = await serverOf((request, answer) => {
    const file = String(request.headers['content-digest']);
    const count = (tried.get(file) ?? 0) + 1;
    tried.set(file, count);
    if (count <= 2) {
      const body = JSON.stringify({
        code: 'in_progress',
        detail: 'The same is being done by another request.',
      });
      request.resume().on('end', () => answer.writeHead(503, { 'retry-after': '0' }).end(body));
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
  for (let n = 0; n < 5; n += 1) pbx.host.put(`${n}.wav`, newCall());
  const agent = pbx.host.start(argsOf([], url).filter((arg) => arg !== '--json'));
  await until(() => pbx.host.names().length === 0);
  expect([...tried.values()]).toEqual([3, 3, 3, 3, 3]);
  expect(await end(agent)).toBe(0);
  expect(agent.said()).toBe('');
});
