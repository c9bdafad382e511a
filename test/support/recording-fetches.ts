import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { readRecordingCallback } from '../../src/core/recording-callback.ts';
import { makeCertificate } from './certificates.ts';
import { openClockedServices } from './clocked-services.ts';
import { openFileStore } from './file-store.ts';
import { generatedCall } from './generated-call.ts';
import { newOrganisation, startIdentity } from './identity.ts';
import { type Answer, type Provider, startProvider, twilioSignature } from './telephony-provider.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const CALLBACK_URL = 'https://calls.region.example/twilio/recordings';
export const audio = generatedCall(2);

export type Form = ReturnType<Provider['callback']>;
export type Row = {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
  readonly fault: string | null;
  readonly call: string | null;
  readonly sealed: Buffer | null;
  readonly claimed: boolean;
  readonly wait: number;
};

export const answering =
  (status: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) =>
    void response.writeHead(status, headers).end();
/** Whoever looks has looked. */
export const looks = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2_500));

/** Two processes on one database, a provider over HTTPS, and a clock that is moved. */
const openProcesses = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cv-fetches-'));
  const certificate = makeCertificate(folder, 'provider');
  const provider = await startProvider(certificate, audio);
  const identity = await startIdentity();
  const objects = await openFileStore();
  const outside = { objects: objects.store, host: provider.host, ca: certificate.pem };
  const one = await openClockedServices(identity, outside);
  const other = await openClockedServices(identity, outside);
  const home = await newOrganisation(identity);
  for (const { services } of [one, other]) services.recordingFetches.start();
  const close = async (): Promise<void> => {
    await one.close();
    await other.close();
    provider.close();
    await identity.close();
    await objects.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { provider, identity, one, other, home, close };
};

/** What a provider's callbacks asked for, for the tests of a file; each of them has a source of its own. */
export const fetchesRecordings = () => {
  let world: Awaited<ReturnType<typeof openProcesses>>;
  let source: string;
  const setAccount = async (authToken = world.provider.authToken, deleteAfter = false): Promise<unknown> =>
    world.one.services.twilio.set(world.home.caller(), source, {
      ...{ accountSid: world.provider.accountSid, authToken, callbackUrl: CALLBACK_URL, deleteAfter },
    });

  beforeAll(async () => {
    world = await openProcesses();
  });
  afterAll(() => world?.close());
  beforeEach(async () => {
    source = (await world.home.newSource()).source.id;
    await setAccount();
  });
  afterEach(async () => {
    world.provider.behave();
    await world.identity.superuser.query('DELETE FROM recording_fetch');
  });

  return {
    get provider() {
      return world.provider;
    },
    get identity() {
      return world.identity;
    },
    get one() {
      return world.one;
    },
    get other() {
      return world.other;
    },
    get home() {
      return world.home;
    },
    /** Whose callbacks come. */
    get source() {
      return source;
    },
    set source(next: string) {
      source = next;
    },
    setAccount,
  };
};

/** What is asked about the source of the test that runs, and what its provider tells. */
export const aboutItsSource = (world: ReturnType<typeof fetchesRecordings>) => {
  /** A callback, as its route hands it on. */
  const tell = async (form: Form, { services } = world.one, authToken = world.provider.authToken) => {
    const parameters = new Map(Object.entries(form).map(([name, value]) => [name, [value]]));
    const { actor, account } = await services.verifyCallback({
      ...{ source: world.source, form: parameters, address: '10.0.0.1', request: randomUUID() },
      signature: twilioSignature(CALLBACK_URL, authToken, form),
    });
    const hosts = services.recordingHosts;
    const callback = readRecordingCallback(parameters, { ...account, hosts }, world.identity.clock.now());
    return services.takeCallback({
      actor,
      account,
      form: parameters,
      callback,
      request: randomUUID(),
      route: '/test',
    });
  };
  const rows = async (): Promise<Row[]> => {
    const found = await world.identity.superuser.query(
      `SELECT id, state, attempts, fault, call_id AS call, callback_sealed AS sealed, claim IS NOT NULL AS claimed, next_at AS next
         FROM recording_fetch WHERE source_id = $1`,
      [world.source],
    );
    return found.rows.map(({ next, ...row }) => ({
      ...row,
      wait: next.getTime() - world.identity.clock.now(),
    }));
  };
  const row = async (): Promise<Row | undefined> => (await rows())[0];
  const stored = async (): Promise<number> => {
    const text = `SELECT count(*)::int AS n FROM recording WHERE source_id = $1 AND status = 'stored'`;
    return (await world.identity.superuser.query(text, [world.source])).rows[0].n;
  };
  const refused = async (): Promise<number> =>
    (await world.identity.entries('recording.refused')).filter(({ actor }) => actor.id === world.source)
      .length;
  const isStored = async (timeout = 60_000): Promise<void> => {
    await expect.poll(stored, { timeout }).toBe(1);
    await expect.poll(rows).toEqual([]);
  };
  /** Recordings without a care unit that both processes have counted. */
  const ofNobody = (): number =>
    [world.one, world.other].reduce(
      (sum, { services }) => sum + (services.storedFlags().get('no_care_unit') ?? 0),
      0,
    );
  const asked = (form: Form): number => world.provider.about(form.RecordingSid).length;
  /** Waits for attempt `n`, and for what follows from it. */
  const attempted = async (n: number): Promise<void> =>
    expect
      .poll(async () => (await rows()).map((found) => [found.attempts, found.claimed]))
      .toEqual([[n, false]]);
  return { tell, rows, row, stored, refused, isStored, ofNobody, asked, attempted };
};
