import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ended } from './release.ts';
import { bareEnvironment } from './vault.ts';

/** The agent alone: `callvault push` is the same, and takes longer to start. */
export const AGENT = join(import.meta.dirname, '../../src/cli/agent-main.ts');

/** A PBX host: a folder where recordings appear, the key of its source, and agents that are started on it. */
export type PbxHost = {
  readonly home: string;
  readonly spool: string;
  readonly keyFile: string;
  readonly stateFile: string;
  /** Names in the spool. */
  names(): string[];
  put(name: string | Buffer, bytes: Buffer | string): string | Buffer;
  /** Runs `callvault …` to its end. */
  run(args: readonly string[], given?: Given): Promise<Ended>;
  start(args: readonly string[], given?: Given): Agent;
  /** Ends what still runs. */
  close(): Promise<void>;
};
export type Given = {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** Instead of the checkout's agent. */
  readonly program?: readonly string[];
};

export type Agent = {
  readonly pid: number;
  /** Events of `--json`, so far. */
  events(): readonly Record<string, unknown>[];
  out(): string;
  said(): string;
  signal(name: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
};

const startAgent = (args: readonly string[], cwd: string, given: Given): Agent => {
  const [program, ...first] = given.program ?? [process.execPath, AGENT];
  const child = spawn(program as string, [...first, ...args], {
    cwd,
    env: { ...bareEnvironment(), ...given.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => undefined).end(given.input ?? '');
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return {
    pid: child.pid as number,
    events: () =>
      out
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    out: () => out,
    said: () => err,
    signal: (name) => void child.kill(name),
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, out, err })),
  };
};

export const createPbxHost = (apiKey: string): PbxHost => {
  const home = mkdtempSync(join(tmpdir(), 'cvp-'));
  const spool = mkdtempSync(join(home, 'spool-'));
  const keyFile = join(home, 'key');
  writeFileSync(keyFile, `${apiKey}\n`, { mode: 0o600 });
  const running = new Set<Agent>();
  const start = (args: readonly string[], given: Given = {}): Agent => {
    const agent = startAgent(args, home, given);
    running.add(agent);
    void agent.ended.then(() => running.delete(agent));
    return agent;
  };
  return {
    home,
    spool,
    keyFile,
    stateFile: join(home, 'state', 'watch.state'),
    names: () => readdirSync(spool).toSorted(),
    put(name, bytes) {
      const path =
        typeof name === 'string' ? join(spool, name) : Buffer.concat([Buffer.from(`${spool}/`), name]);
      writeFileSync(path, bytes);
      return path;
    },
    run: (args, given) => start(args, given).ended,
    start,
    async close() {
      for (const agent of running) {
        agent.signal('SIGKILL');
        await agent.ended;
      }
      await rm(home, { recursive: true, force: true });
    },
  };
};
