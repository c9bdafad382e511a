import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../support/child.ts';
import { generatedCall } from '../support/generated-call.ts';
import { build } from '../support/release.ts';
import { startScene } from '../support/scene.ts';
import { type SystemdHost, startSystemdHost } from '../support/systemd-host.ts';

/** `deploy/callvault-watch.service` as it is shipped, run by systemd itself. */
const UNIT = 'callvault-watch';
const SPOOL = '/var/spool/asterisk/monitor';
const SHIPPED = join(import.meta.dirname, '../../deploy/callvault-watch.service');
const COMMAND = /^ExecStart=(.*)$/m.exec(readFileSync(SHIPPED, 'utf8'))?.[1] ?? '';
let scene: Awaited<ReturnType<typeof startScene>>;
let host: SystemdHost;

const settings = (url: string, folder = SPOOL): string =>
  `CALLVAULT_URL=${url}\nCALLVAULT_FOLDER=${folder}\n`;
const write = (path: string, text: string | Buffer, mode = 0o644): void =>
  writeFileSync(path, text, { mode });

beforeAll(async () => {
  scene = await startScene();
  host = await startSystemdHost((root) => {
    for (const name of ['etc/callvault', `etc/systemd/system/${UNIT}.service.d`, SPOOL.slice(1)])
      mkdirSync(join(root, name), { recursive: true });
    build(join(root, 'usr/local/lib/callvault'));
    copyFileSync(SHIPPED, join(root, `etc/systemd/system/${UNIT}.service`));
    // Nobody waits two minutes here.
    const sooner = `[Service]\nExecStart=\nExecStart=${COMMAND} --interval 0.2 --unseen-rest 0\nStandardError=append:/run/said\n`;
    write(join(root, `etc/systemd/system/${UNIT}.service.d/sooner.conf`), sooner);
    write(join(root, 'etc/callvault/watch.env'), settings(scene.vault.url));
    write(join(root, 'etc/callvault/source.key'), scene.home.source.apiKey, 0o600);
  });
});
afterAll(async () => {
  await host?.close();
  await scene?.close();
});

const put = (name: string, bytes: Buffer): void => {
  write(join(host.path(SPOOL), name), bytes);
  host.run('chown', 'asterisk:', join(SPOOL, name));
};
const names = (): string[] => readdirSync(host.path(SPOOL));
const said = (): string => readFileSync(host.path('/run/said'), 'utf8');
const isIn = (state: string) => (): boolean => host.show(UNIT, 'SubState').SubState === state;
const statusOf = (field: string): string | undefined => {
  const pid = host.show(UNIT, 'MainPID').MainPID;
  return new RegExp(`^${field}:\\s*(\\S+)`, 'm').exec(
    readFileSync(host.path(`/proc/${pid}/status`), 'utf8'),
  )?.[1];
};

test('it empties the folder as a user without rights, and starts again after SIGKILL', async () => {
  put('a.mp3', Buffer.from('\x7fELF and more of it', 'latin1'));
  put('b.wav', generatedCall(5, 8_801));
  host.run('systemctl', 'start', UNIT);
  await until(() => names().length === 1 && /Refused/.test(said()));
  expect(['Uid', 'NoNewPrivs', 'CapEff', 'CapBnd', 'Seccomp'].map(statusOf)).toEqual([
    '61235',
    '1',
    '0000000000000000',
    '0000000000000000',
    '2',
  ]);
  const state = host.path('/var/lib/callvault-watch');
  expect([statSync(state).mode & 0o777, statSync(join(state, 'watch.state')).mode & 0o777]).toEqual([
    0o700, 0o600,
  ]);

  host.run('systemctl', 'kill', '--signal=KILL', UNIT);
  put('c.wav', generatedCall(5, 8_802));
  await until(() => names().length === 1);
  expect(names()).toEqual(['a.mp3']);
  expect(host.show(UNIT, 'NRestarts', 'SubState')).toEqual({ NRestarts: '1', SubState: 'running' });
  // What was refused is remembered by the state that systemd keeps for it.
  expect(said().match(/Refused/g)).toHaveLength(1);

  host.run('systemctl', 'stop', UNIT);
  expect(host.show(UNIT, 'ActiveState', 'Result', 'ExecMainStatus')).toEqual({
    ActiveState: 'inactive',
    Result: 'success',
    ExecMainStatus: '0',
  });
});

test('what is wrong in its settings ends it for good; a folder that is not there yet does not', async () => {
  write(host.path('/etc/callvault/watch.env'), settings('http://vault.example.se'));
  host.run('systemctl', 'start', UNIT);
  await until(isIn('failed'));
  expect(host.show(UNIT, 'ExecMainStatus', 'NRestarts', 'Result')).toEqual({
    ExecMainStatus: '2',
    NRestarts: '0',
    Result: 'exit-code',
  });
  await sleep(1_000);
  expect(isIn('failed')()).toBe(true);

  write(host.path('/etc/callvault/watch.env'), settings(scene.vault.url, `${SPOOL}/share`));
  host.run('systemctl', 'start', UNIT);
  await until(isIn('auto-restart'));
  expect(host.show(UNIT, 'ExecMainStatus').ExecMainStatus).toBe('3');
  host.run('mkdir', `${SPOOL}/share`);
  host.run('chown', 'asterisk:', `${SPOOL}/share`);
  write(join(host.path(SPOOL), 'share/d.wav'), generatedCall(5, 8_803));
  host.run('chown', 'asterisk:', `${SPOOL}/share/d.wav`);
  await until(() => !existsSync(join(host.path(SPOOL), 'share/d.wav')));
  host.run('systemctl', 'stop', UNIT);
});
