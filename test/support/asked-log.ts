import { afterAll, beforeAll, expect } from 'vitest';
import type { Ask, Reply } from './http-client.ts';
import { createIntegrator, type Entry, type Opened } from './integrator.ts';
import { type Person, startScene } from './scene.ts';

/** A vault for the tests of a file, whose access log is read and added to by hearing. */
export const asksTheLog = () => {
  let scene: Awaited<ReturnType<typeof startScene>>;
  let people: ReturnType<typeof createIntegrator>;
  beforeAll(async () => {
    scene = await startScene();
    people = createIntegrator(scene);
  });
  afterAll(() => scene?.close());

  return {
    get scene() {
      return scene;
    },
    get people() {
      return people;
    },
    get: async (path: string, ask: Ask = {}, who: Person = scene.home.compliance): Promise<Reply> =>
      scene.http.get(`/v1/audit/${path}`, { token: await who.token(), ...ask }),
    search: async (json: object, ask: Ask = {}, who: Person = scene.home.compliance): Promise<Reply> =>
      scene.http.post('/v1/audit/search', { token: await who.token(), json, ...ask }),
    /** Opens a recording and says what was heard of it, in milliseconds. */
    hear: async (
      id: string,
      spans: readonly (readonly [number, number])[],
      who = scene.own.nurse,
    ): Promise<Opened> => {
      const opened = await people.listening(who, id);
      const path = `/v1/playbacks/${opened.playbackId}/heard`;
      const reply = await scene.http.post(path, { token: opened.token, json: { spans } });
      expect(reply.status).toBe(204);
      return opened;
    },
    /** Own lines of the newest entries, by what its reader did last. */
    newestOf: async (action: string): Promise<Entry> => {
      const found = await people.entries({ action, limit: 1 });
      return found[0] as Entry;
    },
  };
};
