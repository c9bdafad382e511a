import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDemoClient } from '../src/cli/demo-client.ts';
import { MP3_FRAME_BYTES, mp3Frames } from '../test/support/audio-files.ts';
import { newVaultFolder } from '../test/support/vault.ts';

/** Server and its database on one core, the load on the other, so that neither is measured with the other's time. */
const SERVER_CORE = '0';
const LOAD_CORE = '1';

export const pinLoad = (): void => {
  execFileSync('taskset', ['-a', '-p', '-c', LOAD_CORE, String(process.pid)], { stdio: 'ignore' });
};
const pinned = ['taskset', '-c', SERVER_CORE];

/** MP3 at 16 kbit/s: frames of noise, in which what lies between the headers does not compress. */
export const mp3 = (bytes: number): Buffer => {
  const frames = mp3Frames(Math.floor(bytes / MP3_FRAME_BYTES));
  for (let at = 0; at < frames.length; at += MP3_FRAME_BYTES)
    randomFillSync(frames, at + 4, MP3_FRAME_BYTES - 4);
  return frames;
};

/** Telephone PCM, 8 kHz 16-bit mono: 228 s are the 3.65 MB of an average call. Loud noise, so that nothing compresses. */
export const wav = (bytes: number, seed = 1): Buffer => {
  const data = Buffer.alloc(bytes);
  let state = seed;
  for (let i = 44; i + 1 < bytes; i += 2) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    data.writeInt16LE(((state >> 8) & 0x7fff) - 0x4000, i);
  }
  data.write('RIFF', 0);
  data.writeUInt32LE(bytes - 8, 4);
  data.write('WAVEfmt ', 8);
  data.writeUInt32LE(16, 16);
  data.writeUInt16LE(1, 20);
  data.writeUInt16LE(1, 22);
  data.writeUInt32LE(8000, 24);
  data.writeUInt32LE(16000, 28);
  data.writeUInt16LE(2, 32);
  data.writeUInt16LE(16, 34);
  data.write('data', 36);
  data.writeUInt32LE(bytes - 44, 40);
  return data;
};

export type BenchVault = {
  readonly port: number;
  readonly pid: number;
  readonly apiKey: string;
  readonly nurseToken: string;
  upload(audio: Buffer): Promise<string>;
  openPlayback(recording: string): Promise<string>;
  close(): Promise<void>;
};

/** A real vault on the embedded default, but for what `env` says, with one source and one nurse. */
export const startVault = async (
  wrapper: readonly string[] = pinned,
  env: Readonly<Record<string, string>> = {},
): Promise<BenchVault> => {
  const folder = await newVaultFolder({
    REQUESTS_PER_MINUTE: '10000000',
    ACCESS_TOKEN_SECONDS: '3600',
    ...env,
  });
  const running = await folder.start({}, wrapper);
  const admin = JSON.parse(
    (await folder.cli('admin-create', '--organisation', 'Bench', '--email', 'admin@bench.example', '--json'))
      .stdout,
  ) as { email: string; password: string };
  const client = createDemoClient(running.url);
  const token = await client.signIn(admin.email, await client.choosePassword(admin.email, admin.password));
  const unit = await client.expect<{ id: string }>(201, 'POST', '/v1/admin/units', {
    token,
    body: { name: 'Unit' },
  });
  const nurse = await client.expect<{ initialPassword: string }>(201, 'POST', '/v1/admin/users', {
    token,
    body: { email: 'nurse@bench.example', displayName: 'Nurse', role: 'nurse', units: [unit.id] },
  });
  const { apiKey } = await client.expect<{ apiKey: string }>(201, 'POST', '/v1/admin/sources', {
    token,
    body: { name: 'PBX', defaultUnit: unit.id, retentionClass: 'quality', legalBasis: 'public_task' },
  });
  const nurseEmail = 'nurse@bench.example';
  const nurseToken = await client.signIn(
    nurseEmail,
    await client.choosePassword(nurseEmail, nurse.initialPassword),
  );
  let calls = 0;
  return {
    port: Number(new URL(running.url).port),
    pid: running.pid,
    apiKey,
    nurseToken,
    async upload(audio) {
      calls += 1;
      const form = new FormData();
      form.set('metadata', JSON.stringify({ callId: `bench-${calls}` }));
      form.set('audio', new Blob([new Uint8Array(audio)], { type: 'audio/wav' }), 'audio');
      return (
        await client.expect<{ id: string }>(201, 'POST', '/v1/recordings', { token: apiKey, body: form })
      ).id;
    },
    async openPlayback(recording) {
      const opened = await client.expect<{ audioUrl: string }>(
        201,
        'POST',
        `/v1/recordings/${recording}/playbacks`,
        {
          token: nurseToken,
          body: { purpose: 'technical' },
        },
      );
      return opened.audioUrl;
    },
    close: () => folder.remove(),
  };
};

export type BareServer = {
  readonly pid: number;
  readonly port: number;
  readonly token: string;
  readonly folder: string;
  close(): Promise<void>;
};

/** The baseline of every ratio (bench/bare-server.ts). */
export const startBare = async (): Promise<BareServer> => {
  const folder = await mkdtemp(join(tmpdir(), 'cvb-'));
  const child: ChildProcess = spawn(
    pinned[0] as string,
    [...pinned.slice(1), process.execPath, join(import.meta.dirname, 'bare-server.ts'), folder],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const line = await new Promise<string>((resolve) =>
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString())),
  );
  return {
    ...(JSON.parse(line) as { port: number; token: string }),
    folder,
    pid: child.pid as number,
    async close() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true, force: true });
    },
  };
};

/**
 * Memory a virtual machine touches for the first time costs its host's work, several times that of the copy into it, and falls
 * on whoever happens to write next. Before each round that writes, as much of the page cache is filled and given back.
 */
export const warmPageCache = async (bytes = 2_000_000_000): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'cvw-'));
  const file = await open(join(folder, 'warm'), 'wx', 0o600);
  const block = Buffer.alloc(4 * 1024 * 1024, 1);
  for (let written = 0; written < bytes; written += block.length) await file.write(block);
  await file.close();
  await rm(folder, { recursive: true });
};

export const row = (cells: readonly (string | number)[]): void => {
  const text = cells.map((cell) => (typeof cell === 'number' ? cell.toFixed(cell >= 100 ? 0 : 2) : cell));
  process.stdout.write(
    `${text.map((cell, i) => (i === 0 ? cell.padEnd(44) : cell.padStart(12))).join('')}\n`,
  );
};
