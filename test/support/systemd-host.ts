import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './child.ts';

/**
 * A host with systemd: this machine's own systemd as first process of namespaces of its own (processes, mounts, control
 * groups), on a copy of this machine's file system that is kept in memory. It starts no unit of this machine. Its network is
 * this machine's. For root alone; it is gone with {@link close}, or with the test.
 */
export type SystemdHost = {
  /** A path of that host, as it is reached from here. */
  path(path: string): string;
  /** Runs a program there; throws when it fails. */
  run(...command: readonly string[]): string;
  /** Properties of a unit. */
  show(unit: string, ...properties: readonly string[]): Readonly<Record<string, string>>;
  close(): Promise<void>;
};

const SYSTEMD = '/usr/lib/systemd/systemd';
/** What units ask for that begin with a host; none of it does anything. */
const TARGETS = [
  'sysinit',
  'basic',
  'multi-user',
  'network-online',
  'remote-fs',
  'shutdown',
  'callvault-test',
];
/** `$1`: an empty folder; `$2`: what lies on the host besides; `$3`: its Node; `$4`: the control group. */
const SCRIPT = `
echo $$ > "$4/cgroup.procs"
exec unshare --mount --pid --cgroup --ipc --uts --fork --kill-child sh -euc '
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
rm -rf etc/systemd/system
cp -a "$2/." .
printf "asterisk:x:61235:61235::/nonexistent:/usr/sbin/nologin\\n" >> etc/passwd
printf "asterisk:x:61235:\\n" >> etc/group
chown -R 61235:61235 var/spool/asterisk
touch usr/bin/node
mount --bind "$3" usr/bin/node
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t tmpfs -o mode=755 tmpfs sys
mkdir -p sys/fs/cgroup run/old
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
for fs in run tmp; do mount -t tmpfs -o mode=1777 tmpfs $fs; done
chmod 755 run
mkdir run/old
pivot_root . run/old
umount --lazy /run/old
# As systemd has it: what it mounts for a unit is seen by that.
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system \\
  ${SYSTEMD} --system --unit=callvault-test.target --log-target=null --show-status=no
' sh "$@"
`;

const groupsIn = (folder: string): void => {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) groupsIn(join(folder, entry.name));
  rmdirSync(folder);
};

/** The control groups of version 2. */
const groupRoot = (): string | undefined =>
  /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/mounts', 'utf8'))?.[1];

const requireAll = (): string => {
  const root = groupRoot();
  const missing = [
    ...(existsSync(SYSTEMD) ? [] : ['systemd']),
    ...['unshare', 'nsenter', 'pivot_root'].filter(
      (name) => spawnSync('sh', ['-c', 'command -v "$0"', name]).status !== 0,
    ),
    ...(root === undefined ? ['cgroup2'] : []),
    ...(process.getuid?.() === 0 ? [] : ['root']),
  ];
  if (root === undefined || missing.length > 0)
    throw new Error(`a host with systemd needs ${missing.join(', ')}, which this machine has not`);
  return root;
};

const firstProcessOf = async (starter: ChildProcess): Promise<number> => {
  let pid = 0;
  await until(() => {
    if (starter.exitCode !== null) throw new Error('systemd does not start here');
    const [child] = readFileSync(`/proc/${starter.pid}/task/${starter.pid}/children`, 'utf8').split(' ');
    pid = Number(child);
    return pid > 0 && existsSync(`/proc/${pid}/root/run/systemd/private`) && commOf(pid) === 'systemd';
  });
  return pid;
};
const commOf = (pid: number): string => readFileSync(`/proc/${pid}/comm`, 'utf8').trim();

/** `prepare` puts into a folder what lies on the host besides what this machine has. */
export const startSystemdHost = async (prepare: (root: string) => void): Promise<SystemdHost> => {
  const group = mkdtempSync(join(requireAll(), 'callvault-test-'));
  const home = mkdtempSync(join(tmpdir(), 'cvd-'));
  const [root, seed] = [join(home, 'root'), join(home, 'seed')];
  mkdirSync(root);
  mkdirSync(join(seed, 'etc/systemd/system'), { recursive: true });
  for (const name of TARGETS)
    writeFileSync(join(seed, `etc/systemd/system/${name}.target`), '[Unit]\nDefaultDependencies=no\n');
  prepare(seed);
  const args = ['-euc', SCRIPT, 'sh', root, seed, process.execPath, group];
  const starter = spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(starter, 'exit');
  const close = async (): Promise<void> => {
    // With its first process all others of its namespace end.
    if (starter.exitCode === null && starter.signalCode === null) starter.kill('SIGKILL');
    await ended;
    await until(() => /^populated 0$/m.test(readFileSync(join(group, 'cgroup.events'), 'utf8')));
    groupsIn(group);
    await rm(home, { recursive: true, force: true });
  };
  try {
    const pid = await firstProcessOf(starter);
    const into = [
      '--target',
      String(pid),
      '--mount',
      '--pid',
      '--cgroup',
      '--uts',
      '--ipc',
      '--root',
      '--wd=/',
    ];
    const run = (...command: readonly string[]): string =>
      execFileSync('nsenter', [...into, ...command], { encoding: 'utf8', cwd: '/' });
    return {
      path: (path) => `/proc/${pid}/root${path}`,
      run,
      show: (unit, ...properties) =>
        Object.fromEntries(
          run('systemctl', 'show', unit, `--property=${properties.join(',')}`)
            .trim()
            .split('\n')
            .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
        ),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};
