import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { makeCertificate } from './certificates.ts';
import { freePort } from './free-port.ts';
import { generatedCall } from './generated-call.ts';
import { type Ask, jsonOf, type Reply } from './http-client.ts';
import type { Entry } from './integrator.ts';
import { type Source, startScene } from './scene.ts';
import { type Answer, startProvider, twilioSignature } from './telephony-provider.ts';
import { inDatabase } from './vault-inspection.ts';

export const audio = generatedCall(2);
export const CALLBACK_URL = 'https://calls.region.example/twilio/recordings';
export type Form = Readonly<Record<string, string>>;

/** A provider that answers with this. */
export const sent =
  (status: number, type: string, body: Buffer | string, more: object = {}): Answer =>
  (response) =>
    void response.writeHead(status, { 'content-type': type, ...more }).end(body);

/** A vault that fetches from one of two providers, and a source whose account is there. */
const openProviders = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cv-twilio-'));
  const certificate = makeCertificate(folder, 'provider');
  const provider = await startProvider(certificate, audio);
  const elsewhere = await startProvider(certificate, audio);
  const metricsPort = await freePort();
  const scene = await startScene({
    METRICS_PORT: metricsPort,
    NODE_EXTRA_CA_CERTS: certificate.certFile,
    RECORDING_HOSTS: provider.host,
    RADAR_GRACE_MINUTES: '1',
    MAX_UPLOAD_BYTES: '1048576',
  });
  const source = await scene.stage.source(scene.home.admin, scene.own.id);
  const close = async (): Promise<void> => {
    await scene.close();
    for (const one of [provider, elsewhere]) one.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { scene, provider, elsewhere, source, metricsPort, close };
};

type World = Pick<Awaited<ReturnType<typeof openProviders>>, 'scene' | 'provider' | 'source'>;

/** What the provider, an administrator and whoever looks afterwards ask. */
const createQuestions = (world: World) => {
  const settings = (about: object = {}) => ({
    accountSid: world.provider.accountSid,
    authToken: world.provider.authToken,
    callbackUrl: CALLBACK_URL,
    ...about,
  });
  const set = async ({ id }: Source, json: unknown): Promise<Reply> =>
    world.scene.http.ask('PUT', `/v1/admin/sources/${id}/twilio`, {
      token: await world.scene.home.admin.token(),
      json,
    });
  const signed = (
    form: Form,
    signature = twilioSignature(CALLBACK_URL, world.provider.authToken, form),
  ): Ask => ({
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': signature },
    body: new URLSearchParams(form).toString(),
  });
  const send = (asked: Ask, id = world.source.id): Promise<Reply> =>
    world.scene.http.post(`/v1/ingest/twilio/${id}`, asked);
  const call = (form: Form): Promise<Reply> => send(signed(form));
  const entries = async (action: string): Promise<Entry[]> => {
    const asked = { token: await world.scene.home.compliance.token(), json: { action, limit: 200 } };
    return jsonOf<{ entries: Entry[] }>(await world.scene.http.post('/v1/audit/search', asked), 200).entries;
  };
  const recordingsOf = async ({ CallSid }: Form): Promise<{ id: string }[]> => {
    const asked = { token: await world.scene.own.nurse.token(), json: { callId: CallSid } };
    const reply = await world.scene.http.post('/v1/recordings/search', asked);
    return jsonOf<{ recordings: { id: string }[] }>(reply, 200).recordings;
  };
  /** What a source's callbacks asked for and is not here: `waiting` or `given_up`. */
  const fetches = async ({ id } = world.source): Promise<string[]> =>
    inDatabase(world.scene.folder, async (client) => {
      const text = 'SELECT state FROM recording_fetch WHERE source_id = $1';
      const { rows } = await client.query<{ state: string }>(text, [id]);
      return rows.map(({ state }) => state);
    });
  return { settings, set, signed, send, call, entries, recordingsOf, fetches };
};

/** The world of `openProviders` for the tests of a file, and what is asked in it. */
export const takesCallbacks = () => {
  let opened: Awaited<ReturnType<typeof openProviders>>;
  const world = {
    get scene() {
      return opened.scene;
    },
    get provider() {
      return opened.provider;
    },
    /** Another machine of the same certificate, from which nothing may be fetched. */
    get elsewhere() {
      return opened.elsewhere;
    },
    get source() {
      return opened.source;
    },
    get metricsPort() {
      return opened.metricsPort;
    },
  };
  const questions = createQuestions(world);
  beforeAll(async () => {
    opened = await openProviders();
    jsonOf(await questions.set(opened.source, questions.settings()), 200);
  });
  afterEach(() => opened.provider.behave());
  afterAll(() => opened?.close());
  return { world, ...questions };
};
