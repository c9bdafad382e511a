import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, until } from './child.ts';

/**
 * A real share: Samba's smbd, and clients that mount it over FUSE (smbnetfs, which is Samba's own library; rclone). The server
 * and its clients have a network of their own, whose loopback is the line between them, and mounts of their own: nobody else
 * reaches the share, and nothing of it outlives its processes, each of which is ended by its id. For root alone.
 */
export type SmbShare = {
  /** Where the server keeps the files of the share. */
  readonly served: string;
  /** Runs a program where the share is mounted, on the machine's network. */
  readonly inside: readonly string[];
  /** Mounts the share once more, at a place that only {@link inside} sees; resolves when it can be looked at. */
  mount(kind: ClientKind, name?: string): Promise<Mounted>;
  /** The path of what is mounted, as everybody else may reach it. */
  outside(path: string): string;
  stopServer(): Promise<void>;
  startServer(): Promise<void>;
  /** The cable between server and clients. */
  line(state: 'up' | 'down'): void;
  close(): Promise<void>;
};
export type ClientKind = 'smbnetfs' | 'rclone';
export type Mounted = {
  /** For who is {@link SmbShare.inside}. */
  readonly path: string;
  /** Stops answering, and goes on. */
  freeze(): void;
  thaw(): void;
  /** SIGKILL: the mount stays, and every call to it fails. */
  kill(): Promise<void>;
  /** Nothing is mounted any more. */
  unmount(): Promise<void>;
};

const PROGRAMS = ['smbd', 'smbnetfs', 'rclone', 'fusermount3', 'ip', 'nsenter', 'setpriv'] as const;
/** What this machine lacks for a share. */
const missingForShare = (): string[] => [
  ...PROGRAMS.filter((name) => spawnSync('sh', ['-c', 'command -v "$0"', name]).status !== 0),
  ...(existsSync('/dev/fuse') ? [] : ['/dev/fuse']),
  ...(process.getuid?.() === 0 ? [] : ['root']),
];

/** Guests are root here: the share is for whoever is in its network, and that is this test. */
const serverConfig = (home: string): string => `[global]
smb ports = 445
server role = standalone server
map to guest = Bad User
guest account = root
disable netbios = yes
load printers = no
printcap name = /dev/null
disable spoolss = yes
private dir = ${home}/state
lock directory = ${home}/state
state directory = ${home}/state
cache directory = ${home}/state
pid directory = ${home}/state
ncalrpc dir = ${home}/state/ncalrpc
[calls]
path = ${home}/served
guest ok = yes
read only = no
`;

const CLIENT_CONFIG = `auth "guest" ""
host 127.0.0.1 visible=true
local_charset "UTF-8"
smb_timeout 2000
reply_timeout 4
listen_timeout 30
max_retry_count 1
stat_workaround_depth 0
time_step 1
smb_query_browsers "false"
neg_cache_timeout 1
`;
const RCLONE_CONFIG = '[smb]\ntype = smb\nhost = 127.0.0.1\nport = 445\nuser = guest\n';

const clientCommand = (kind: ClientKind, home: string, path: string): readonly string[] =>
  kind === 'smbnetfs'
    ? [
        ...['env', `HOME=${home}`, 'smbnetfs', path, '-f'],
        ...['-o', `config=${home}/smbnetfs.conf,nonempty,modules=subdir,subdir=/127.0.0.1/calls`],
      ]
    : [
        ...['rclone', '--config', `${home}/rclone.conf`, 'mount', 'smb:calls', path],
        ...['--dir-cache-time', '0s', '--attr-timeout', '0s', '--timeout', '4s', '--contimeout', '4s'],
        ...['--low-level-retries', '1'],
      ];

const endOfChild = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
};

/** Processes that live in this network. */
const inNetwork = (network: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/net`) === network;
      } catch {
        return false;
      }
    })
    .map(Number);

const isMounted = (holder: number, path: string): boolean =>
  readFileSync(`/proc/${holder}/mountinfo`, 'utf8').includes(` ${path} `);

const commOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8');
  } catch {
    return '';
  }
};

const writeConfigs = (home: string): void => {
  for (const name of ['served', 'state', '.smb']) mkdirSync(join(home, name));
  for (const name of ['smb.conf', '.smb/smb.conf']) writeFileSync(join(home, name), serverConfig(home));
  writeFileSync(join(home, 'smbnetfs.conf'), CLIENT_CONFIG, { mode: 0o600 });
  writeFileSync(join(home, 'rclone.conf'), RCLONE_CONFIG, { mode: 0o600 });
};

/** A network and mounts of its own, for as long as this process lives. */
const openNetwork = async (home: string) => {
  // Ends with the test, however that ends: nobody writes to its input any more.
  const script = 'ip link set lo up; echo; exec cat >/dev/null';
  const holder = spawn('unshare', ['--net', '--mount', 'sh', '-euc', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const pid = holder.pid as number;
  const isUp = await Promise.race([
    once(holder.stdout, 'data').then(() => true),
    once(holder, 'exit').then(() => false),
  ]);
  if (!isUp) throw new Error('a network of its own cannot be made here');
  const network = readlinkSync(`/proc/${pid}/ns/net`);
  const wholly = ['--target', String(pid), '--mount', '--net', '--'];
  return {
    pid,
    inside: ['nsenter', '--target', String(pid), '--mount', '--'],
    processes: (): number[] => inNetwork(network).filter(isAlive),
    run(...command: readonly string[]): void {
      const { status, stderr } = spawnSync('nsenter', [...wholly, ...command], { encoding: 'utf8' });
      if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`);
    },
    /** A group of its own, for smbd ends its whole group; and no longer than this process. */
    start: (...command: readonly string[]): ChildProcess =>
      spawn('nsenter', [...wholly, 'setpriv', '--pdeathsig', 'KILL', ...command], {
        stdio: 'ignore',
        cwd: home,
        detached: true,
      }),
    async close(): Promise<void> {
      for (const one of inNetwork(network)) if (one !== pid && isAlive(one)) process.kill(one, 'SIGKILL');
      await endOfChild(holder, 'SIGKILL');
      await until(() => inNetwork(network).every((one) => !isAlive(one)));
    },
  };
};
type Network = Awaited<ReturnType<typeof openNetwork>>;

const mountOn = async (network: Network, home: string, kind: ClientKind, path: string): Promise<Mounted> => {
  mkdirSync(path, { recursive: true });
  const client = network.start(...clientCommand(kind, home, path));
  await until(() => {
    if (client.exitCode !== null) throw new Error(`${kind} does not mount the share`);
    return isMounted(network.pid, path);
  });
  const kill = () => endOfChild(client, 'SIGKILL');
  return {
    path,
    freeze: () => void client.kill('SIGSTOP'),
    thaw: () => void client.kill('SIGCONT'),
    kill,
    async unmount() {
      await kill();
      // fusermount3 may have been as quick.
      if (isMounted(network.pid, path)) network.run('umount', '--lazy', path);
    },
  };
};

/** What it needs and this machine has not is said. {@link SmbShare.close} ends all of it. */
export const startSmbShare = async (): Promise<SmbShare> => {
  const missing = missingForShare();
  if (missing.length > 0) throw new Error(`a share needs ${missing.join(', ')}, which this machine has not`);
  const home = mkdtempSync(join(tmpdir(), 'cvs-'));
  writeConfigs(home);
  const network = await openNetwork(home);
  let server: ChildProcess | null = null;
  const startServer = async (): Promise<void> => {
    server = network.start(
      'smbd',
      '-F',
      '--no-process-group',
      '--debug-stdout',
      '-s',
      join(home, 'smb.conf'),
    );
    // Port 445, in the state LISTEN.
    await until(() =>
      / [0-9A-F]{8}:01BD [0-9A-F]{8}:0000 0A /.test(readFileSync(`/proc/${network.pid}/net/tcp`, 'utf8')),
    );
  };
  await startServer();
  return {
    served: join(home, 'served'),
    inside: network.inside,
    outside: (path) => `/proc/${network.pid}/root${path}`,
    startServer,
    async stopServer() {
      if (server !== null) await endOfChild(server, 'SIGTERM');
      // Each connection has a process of its own.
      await until(() => network.processes().every((pid) => !commOf(pid).startsWith('smbd')));
    },
    line: (state) => network.run('ip', 'link', 'set', 'lo', state),
    mount: (kind, name = 'mounted') => mountOn(network, home, kind, join(home, name)),
    async close() {
      await network.close();
      await rm(home, { recursive: true, force: true });
    },
  };
};
