import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';
import { startScene } from './scene.ts';

/** A vault for the tests of a file, and curl, which sends the bytes of whatever is built on libcurl in its place. */
export const sendsByCurl = () => {
  let scene: Awaited<ReturnType<typeof startScene>>;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cvs-'));
    scene = await startScene();
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await scene?.close();
  });
  return {
    get scene() {
      return scene;
    },
    /** A file that curl can send; its path. */
    fileOf: (name: string, content: Buffer): string => {
      const file = join(folder, name);
      writeFileSync(file, content);
      return file;
    },
    /** The status that the last answer had: redirects are followed. */
    statusOf: async (headers: readonly string[], ...args: readonly string[]): Promise<number> => {
      const { stdout } = await promisify(execFile)('curl', [
        ...['-sS', '-L', '--noproxy', '*', '-o', '/dev/null', '-w', '%{http_code}'],
        ...headers.flatMap((header) => ['-H', header]),
        ...args,
      ]);
      return Number(stdout);
    },
  };
};
