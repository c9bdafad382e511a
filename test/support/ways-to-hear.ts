import { expect } from 'vitest';
import type { Call, CareLine } from './care-line.ts';
import { jsonOf, type Reply } from './http-client.ts';

/**
 * One recording with a number that no answer may show, the address of a permission to hear it that was given before, and the
 * entry of its storing.
 */
export type Known = {
  readonly recording: string;
  readonly audioUrl: string;
  readonly audio: Buffer;
  readonly entry: number;
};

/** The caller's number of the recording: as it was sent, and as the vault shows it to whom it may. */
export const CALLER = '070-174 06 42';
export const CALLER_SHOWN = '+46701740642';

/** Stores a call and opens a playback of it. */
export const makeKnown = async (line: CareLine, call: Call): Promise<Known> => {
  const recording = await line.store(call, { callerNumber: CALLER });
  const asked = { token: await line.compliance.token(), json: { action: 'recording.stored', recording } };
  const reply = await line.http.post('/v1/audit/search', asked);
  const [entry] = jsonOf<{ entries: { seq: number }[] }>(reply, 200).entries;
  if (entry === undefined) throw new Error('the storing of a recording is no entry');
  return { recording, audio: call.audio, audioUrl: await line.openPlayback(recording), entry: entry.seq };
};

type Way = () => Promise<Reply>;

/** Everything by which a person gets at sound, numbers or the log, each of which needs an entry of its own. */
export const waysThatNeedAnEntry = (
  line: CareLine,
  { recording, entry }: Known,
): Readonly<Record<string, Way>> => {
  const asNurse = async (json?: object) => ({
    token: await line.nurse.token(),
    ...(json === undefined ? {} : { json }),
  });
  const asCompliance = async (json?: object) => ({
    token: await line.compliance.token(),
    ...(json === undefined ? {} : { json }),
  });
  const { http } = line;
  return {
    'a new playback': async () =>
      http.post(`/v1/recordings/${recording}/playbacks`, await asNurse({ purpose: 'care' })),
    facts: async () => http.get(`/v1/recordings/${recording}`, await asNurse()),
    search: async () => http.post('/v1/recordings/search', await asNurse({})),
    'search by number': async () =>
      http.post('/v1/recordings/search', await asNurse({ callerNumber: CALLER })),
    'search of the log': async () => http.post('/v1/audit/search', await asCompliance({})),
    'an entry of the log': async () => http.get(`/v1/audit/entries/${entry}`, await asCompliance()),
  };
};

/** Sound under a permission that the log has: needs the database, but no new entry. */
export const waysToListen = (line: CareLine, { audioUrl }: Known): Readonly<Record<string, Way>> => {
  const get = async (headers: Record<string, string>) =>
    line.http.get(audioUrl, { token: await line.nurse.token(), headers });
  return { 'a piece': () => get({ range: 'bytes=0-65535' }), 'the whole': () => get({}) };
};

/** A refusal that gives nothing away: a short problem, and not a byte of sound or digit of the number in it. */
export const expectNothing = (reply: Reply, audio: Buffer, ...statuses: readonly number[]): void => {
  expect(statuses, reply.text.slice(0, 300)).toContain(reply.status);
  expect(reply.headers['content-type']).toContain('application/problem+json');
  expect(reply.headers['content-range']).toBeUndefined();
  if (reply.status === 503) expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
  const allowed = ['type', 'title', 'status', 'detail', 'code', 'requestId'];
  expect(allowed).toEqual(expect.arrayContaining(Object.keys(JSON.parse(reply.text) as object)));
  expect(reply.body.length).toBeLessThan(1_000);
  expect(reply.body.includes(audio.subarray(44, 60))).toBe(false);
  expect(reply.text).not.toContain(CALLER_SHOWN.slice(3));
};

/** Asks all at once and expects nothing of each. */
export const expectNothingOf = async (
  ways: Readonly<Record<string, Way>>,
  audio: Buffer,
  ...statuses: readonly number[]
): Promise<void> => {
  const replies = await Promise.all(Object.values(ways).map((ask) => ask()));
  for (const reply of replies) expectNothing(reply, audio, ...statuses);
};

/** Asks all, one after another, and expects each to be answered. */
export const expectAnswers = async (ways: Readonly<Record<string, Way>>): Promise<void> => {
  for (const [name, ask] of Object.entries(ways)) {
    const reply = await ask();
    expect([200, 201, 206], `${name}: ${reply.text.slice(0, 300)}`).toContain(reply.status);
  }
};
