import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** `deploy/callvault-watch.service`, as systemd itself reads it. */
const SHIPPED = join(import.meta.dirname, '../../deploy/callvault-watch.service');
let folder: string;
let unit: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cvu-'));
  unit = join(folder, 'callvault-watch.service');
  // It asks for the Node of the host, which need not be this machine's.
  writeFileSync(unit, readFileSync(SHIPPED, 'utf8').replace('/usr/bin/node', process.execPath));
});
afterAll(() => rmSync(folder, { recursive: true }));

const verify = (path: string) => {
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
  return { status, ours: stderr.split('\n').filter((line) => line.includes('callvault-watch')) };
};

test('systemd-analyze finds nothing wrong with it, and would', () => {
  expect(verify(unit)).toEqual({ status: 0, ours: [] });
  const wrong = join(folder, 'wrong');
  execFileSync('mkdir', [wrong]);
  copyFileSync(unit, join(wrong, 'callvault-watch.service'));
  writeFileSync(
    join(wrong, 'callvault-watch.service'),
    `${readFileSync(unit, 'utf8')}\n[Service]\nProtectSystems=strict\n`,
  );
  expect(verify(join(wrong, 'callvault-watch.service')).ours).not.toEqual([]);
});

test('nor with what seals before anything leaves beside it, and would', () => {
  const beside = `${unit}.d`;
  mkdirSync(beside);
  copyFileSync(join(SHIPPED, '../callvault-watch-sealed.conf'), join(beside, 'sealed.conf'));
  expect(verify(unit)).toEqual({ status: 0, ours: [] });
  writeFileSync(join(beside, 'wrong.conf'), '[Service]\nLoadCredentials=a:b\n');
  expect(verify(unit).ours).not.toEqual([]);
  rmSync(beside, { recursive: true });
});

test('its exposure is what systemd calls OK', () => {
  const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', unit], {
    encoding: 'utf8',
  });
  const exposure = Number(/exposure level[^:]*: (\d+\.\d+)/.exec(stdout)?.[1]);
  expect(exposure).toBeLessThan(3);
});
