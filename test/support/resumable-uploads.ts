import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { generatedCall } from './generated-call.ts';
import { jsonOf } from './http-client.ts';
import { createIntegrator } from './integrator.ts';
import { startScene } from './scene.ts';
import { createTus, locationOf, type Tus } from './tus.ts';
import { inDatabase } from './vault-inspection.ts';

/** The most bytes that a recording of `takesUploads` may have. */
export const LIMIT = 40_000_000;

export const audio = generatedCall(20, 7);

/** A vault for the tests of a file, its source as a client of tus, and what is there of its uploads. */
export const takesUploads = () => {
  let scene: Awaited<ReturnType<typeof startScene>>;
  let tus: Tus;
  beforeAll(async () => {
    scene = await startScene({ MAX_UPLOAD_BYTES: String(LIMIT), LOG_LEVEL: 'info' });
    tus = createTus(scene.http, scene.home.source.apiKey);
  });
  afterAll(() => scene?.close());

  /** Files of the store that are parts of uploads. */
  const partNames = async (): Promise<string[]> => {
    const root = join(scene.folder.dataDir, 'objects');
    const names = await readdir(root, { recursive: true });
    return names
      .filter((name) => name.endsWith('.part') && !name.startsWith('incoming'))
      .map((name) => join(root, name));
  };
  return {
    get scene() {
      return scene;
    },
    get tus() {
      return tus;
    },
    partNames,
    partFiles: async (): Promise<number> => (await partNames()).length,
    /** An upload that has begun; its address. */
    begun: async (length = audio.length, fields?: Record<string, string>): Promise<string> =>
      locationOf(await tus.begin(length, fields)),
    offsetOf: async (path: string): Promise<string | undefined> => {
      const { status, headers } = await tus.head(path);
      expect(status).toBe(200);
      return headers['upload-offset'] as string | undefined;
    },
    rowOf: async (path: string) =>
      inDatabase(scene.folder, async (client) => {
        const id = path.split('/').at(-1);
        const { rows } = await client.query<{ received: number; parts: number; facts: Buffer | null }>(
          `SELECT received::int, facts_sealed AS facts, (SELECT count(*)::int FROM upload_part WHERE upload_id = u.id) AS parts
             FROM resumable_upload u WHERE id = $1`,
          [id],
        );
        return rows[0] ?? null;
      }),
    /** What the nurse hears of a recording. */
    heard: async (id: string): Promise<Buffer> => {
      const opened = await createIntegrator(scene).listening(scene.own.nurse, id);
      return (await opened.listen()).body;
    },
    /** Action and reason of the newest entries of the log. */
    endings: async (): Promise<string[]> => {
      const { home, http } = scene;
      const asked = { token: await home.compliance.token(), json: { limit: 5 } };
      const { entries } = jsonOf<{ entries: { action: string; detail: { reason?: string } }[] }>(
        await http.post('/v1/audit/search', asked),
        200,
      );
      return entries.map(({ action, detail }) => `${action} ${detail.reason ?? ''}`.trim());
    },
  };
};
