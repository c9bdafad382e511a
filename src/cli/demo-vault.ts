import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { AppError } from '../core/errors.ts';

const MAIN = join(import.meta.dirname, import.meta.filename.endsWith('.ts') ? '../main.ts' : '../main.js');
const CLI = join(import.meta.dirname, import.meta.filename.endsWith('.ts') ? 'main.ts' : 'main.js');

export type DemoVault = {
  readonly url: string;
  /** Runs a command of `callvault` beside the running vault; resolves to what it printed. */
  command(
    ...args: string[]
  ): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;
  readonly exited: Promise<number | null>;
  stop(): Promise<void>;
};

export type DemoVaultOptions = {
  readonly port: string;
  readonly dataDir: string;
  readonly keysDir?: string;
  readonly tell: (line: string) => void;
};

/** Why the vault did not start, in its own words; but the demo has an option where a vault has PORT. */
const reasonOf = (said: string): string => {
  const reason = said.trim().replace(/^callvault: /, '');
  return reason.replace(
    /: set PORT to a free one\.|: set PORT above 1023\./,
    ': name another, such as npm run demo -- --port 8081 (0: any free one).',
  );
};

/** The service itself as its own process, exactly as `npm start` runs it, on the embedded default. */
export const startDemoVault = async (options: DemoVaultOptions): Promise<DemoVault> => {
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOST: '127.0.0.1',
    PORT: options.port,
    DATA_DIR: options.dataDir,
    // Small machines run demos too.
    FREE_DISK_FLOOR: String(256 * 1024 * 1024),
    ...(options.keysDir === undefined ? {} : { KEYS_DIR: options.keysDir }),
  };
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) if (line !== '' && !line.startsWith('{')) options.tell(line);
      const found = /^Callvault \S+ on (http\S+?)(,|\s|$)/m.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    void exited.then(() => reject(new AppError('internal', reasonOf(said))));
  });
  return {
    url,
    exited,
    command: (...args) =>
      new Promise((resolve) => {
        execFile(process.execPath, [CLI, ...args], { env }, (error, stdout, stderr) =>
          resolve({ code: error === null ? 0 : Number(error.code ?? 3), stdout, stderr }),
        );
      }),
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
};
