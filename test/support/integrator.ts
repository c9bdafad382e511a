import { jsonOf, type Reply } from './http-client.ts';
import type { Person, Scene, Stored } from './scene.ts';

/** An entry of the access log, as compliance reads it. */
export type Entry = {
  readonly seq: number;
  readonly action: string;
  readonly outcome: string;
  readonly actor: { readonly type: string; readonly id: string | null; readonly role: string | null };
  readonly organisation: string | null;
  readonly unit: string | null;
  readonly recording: string | null;
  readonly subject: string | null;
  readonly purpose: string | null;
  readonly session: string | null;
  readonly request: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
};

export type Opened = {
  readonly playbackId: string;
  readonly audioUrl: string;
  readonly peaksUrl: string;
  readonly expiresAt: string;
  readonly mediaType: string;
  readonly durationMs: number;
  readonly token: string;
  /** Asks for the sound, as a player does. */
  listen(headers?: Record<string, string>, method?: string): Promise<Reply>;
};

/** What people do with recordings, through the API of a scene. */
export const createIntegrator = ({ http, home, own, stage }: Scene) => {
  const open = async (who: Person, id: string, json: object = { purpose: 'care' }): Promise<Reply> =>
    http.post(`/v1/recordings/${id}/playbacks`, { token: await who.token(), json });

  return {
    open,

    async listening(who: Person, id: string): Promise<Opened> {
      const opened = jsonOf<Omit<Opened, 'token' | 'listen'>>(await open(who, id), 201);
      const token = await who.token();
      return {
        ...opened,
        token,
        listen: (headers = {}, method = 'GET') => http.ask(method, opened.audioUrl, { token, headers }),
      };
    },

    /** Ids of what is found. */
    async search(who: Person, json: object): Promise<string[]> {
      const reply = await http.post('/v1/recordings/search', { token: await who.token(), json });
      return jsonOf<{ recordings: { id: string }[] }>(reply, 200).recordings.map(({ id }) => id);
    },

    /** The home organisation's entries that fit, oldest first. */
    async entries(json: object): Promise<Entry[]> {
      const token = await home.compliance.token();
      const reply = await http.post('/v1/audit/search', { token, json: { limit: 200, ...json } });
      return jsonOf<{ entries: Entry[] }>(reply, 200).entries.reverse();
    },

    /** A recording of the own care unit. */
    deliver: (metadata: Readonly<Record<string, unknown>> = {}, audio?: Buffer): Promise<Stored> =>
      stage.recording(home.source, { careUnit: own.id, ...metadata }, audio),
  };
};
