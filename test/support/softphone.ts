import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';

export type Softphone = {
  /** Where it is called. */
  readonly uri: string;
  /** Resolves when it takes calls. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended by itself; rejects with what it said when that was a fault. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
};

type Options = {
  /** WAV, PCM of 8,000 samples a second, that it says into a call. */
  readonly says: string;
  /** Where it writes both directions of every call, while the call goes on. */
  readonly recordings: string;
  readonly calls?: string;
  /** Then it hangs up and ends. */
  readonly seconds: number;
};

const MODULES = '/usr/lib/baresip/modules';

const configOf = ({ says, recordings }: Options, home: string, port: string, rtp: number): string =>
  [
    `sip_listen 127.0.0.1:${port}`,
    'net_interface 127.0.0.1',
    `audio_source aufile,${says}`,
    `audio_player aufile,${join(home, 'heard.wav')}`,
    `rtp_ports ${rtp}-${rtp + 100}`,
    `module_path ${MODULES}`,
    ...['g711', 'aufile', 'sndfile'].map((name) => `module ${name}.so`),
    ...['account', 'menu'].map((name) => `module_app ${name}.so`),
    `snd_path ${recordings}`,
    '',
  ].join('\n');

/** baresip, which speaks SIP and RTP on this machine alone and records as it goes. It answers by itself. */
export const startSoftphone = async (options: Options): Promise<Softphone> => {
  const home = mkdtempSync(join(tmpdir(), 'cvs-'));
  const [port, rtp] = [await freePort(), Number(await freePort())];
  const uri = `sip:phone@127.0.0.1:${port}`;
  writeFileSync(join(home, 'config'), configOf(options, home, port, rtp));
  writeFileSync(
    join(home, 'accounts'),
    `<${uri};transport=udp>;regint=0;answermode=auto;audio_codecs=pcma\n`,
  );
  writeFileSync(join(home, 'contacts'), '');
  const dial = options.calls === undefined ? [] : ['-e', `/dial ${options.calls}`];
  const child = spawn('baresip', ['-f', home, ...dial, '-t', String(options.seconds)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: home,
  });
  let said = '';
  const ready = new Promise<void>((resolve, reject) => {
    const listen = (text: string): void => {
      said += text;
      if (said.includes('baresip is ready')) resolve();
    };
    child.stdout.setEncoding('utf8').on('data', listen);
    child.stderr.setEncoding('utf8').on('data', listen);
    child.once('error', reject).once('close', () => reject(new Error(`baresip ended: ${said}`)));
  });
  ready.catch(() => undefined);
  const ended = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`baresip ended with ${String(code)}: ${said}`);
  });
  ended.catch(() => undefined);
  return {
    uri,
    ready,
    ended,
    async close() {
      child.kill('SIGKILL');
      await ended.catch(() => undefined);
      await rm(home, { recursive: true, force: true });
    },
  };
};
