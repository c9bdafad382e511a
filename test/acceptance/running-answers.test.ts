import { randomBytes } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { wavFile } from '../support/audio-files.ts';
import { until } from '../support/child.ts';
import { createIntegrator, type Opened } from '../support/integrator.ts';
import { expectProblem } from '../support/problems.ts';
import { type Person, startScene } from '../support/scene.ts';

/** docs/decisions/0003: whatever is taken away counts in an answer that runs already. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
/** Three times what is sent at full speed; the rest would take another minute. */
const audio = wavFile({ data: randomBytes(12 * 1024 * 1024) });

beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene?.close());

/** The whole answer, being read; `read` waits until so many bytes have come, `ended` for its end or its cut. */
const listenTo = async ({ audioUrl, token }: Pick<Opened, 'audioUrl' | 'token'>) => {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = { agent: false, headers: { authorization: `Bearer ${token}` } };
    request(`${scene.http.url}${audioUrl}`, asked, resolve).once('error', reject).end();
  });
  expect(answer.statusCode).toBe(200);
  let bytes = 0;
  const ended = new Promise<'whole' | 'cut'>((resolve) => {
    answer.once('error', () => resolve('cut'));
    answer.once('end', () => resolve('whole'));
  });
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  return {
    ended,
    bytes: () => bytes,
    read: (enough: number) => until(async () => bytes >= enough),
    pause: () => answer.pause(),
    resume: () => answer.resume(),
  };
};

const newNurse = (): Promise<Person> => scene.stage.user(scene.home.admin, 'nurse', [scene.own.id]);
const asAdmin = async (json?: object) => ({
  token: await scene.home.admin.token(),
  ...(json === undefined ? {} : { json }),
});

type Way = (nurse: Person, opened: Opened, id: string) => Promise<{ status: number }>;

const ways: Readonly<Record<string, Way>> = {
  'she signs out': async (_nurse, { token }) => scene.http.post('/v1/auth/logout', { token }),
  'she is disabled': async ({ id }) => scene.http.post(`/v1/admin/users/${id}/disable`, await asAdmin()),
  'her care unit is taken away': async ({ id }) =>
    scene.http.patch(`/v1/admin/users/${id}`, await asAdmin({ units: [scene.other.id] })),
  'the recording is erased': async (_nurse, _opened, id) =>
    scene.http.delete(`/v1/recordings/${id}`, await asAdmin({ reason: 'patient_request' })),
};

test.each(Object.keys(ways))('while %s, the answer that runs is cut, with one entry', async (name) => {
  const nurse = await newNurse();
  const { id } = await people.deliver({}, audio);
  const opened = await people.listening(nurse, id);
  const listening = await listenTo(opened);
  // Behind what is sent at full speed, where every piece waits for its time.
  await listening.read(4 * 1024 * 1024 + 1);
  expect((await (ways[name] as Way)(nurse, opened, id)).status).toBeLessThan(300);
  expect(await listening.ended).toBe('cut');
  // Pieces that were on their way already.
  expect(listening.bytes()).toBeLessThan(6 * 1024 * 1024);
  const denied = await people.entries({ actor: nurse.id, action: 'access.denied' });
  expect(denied).toMatchObject([{ outcome: 'denied', detail: { route: '/v1/playbacks/:id/audio' } }]);
  const told = await people.entries({ recording: id, action: 'recording.damaged' });
  expect(told).toEqual([]);
});

test('a listener who stops reading and goes on after the permission is gone gets no more of it', async () => {
  const nurse = await newNurse();
  const { id } = await people.deliver({}, audio);
  const opened = await people.listening(nurse, id);
  const listening = await listenTo(opened);
  await listening.read(100_000);
  listening.pause();
  expect((await scene.http.post('/v1/auth/logout', { token: opened.token })).status).toBeLessThan(300);
  listening.resume();
  expect(await listening.ended).toBe('cut');
  expect(listening.bytes()).toBeLessThan(audio.length / 2);
  expectProblem(await opened.listen(), 401, 'unauthenticated');
});

test('two answers run: only the one whose permission is taken away is cut', async () => {
  const [one, two] = [await newNurse(), await newNurse()];
  const { id } = await people.deliver({}, audio);
  const [first, second] = [await people.listening(one, id), await people.listening(two, id)];
  const [cut, goesOn] = [await listenTo(first), await listenTo(second)];
  await Promise.all([cut.read(4 * 1024 * 1024 + 1), goesOn.read(4 * 1024 * 1024 + 1)]);
  await scene.http.post('/v1/auth/logout', { token: first.token });
  expect(await cut.ended).toBe('cut');
  await goesOn.read(goesOn.bytes() + 200_000);
});

test('a playback that was opened before a kill plays on after the restart, by its old address', async () => {
  const nurse = await newNurse();
  const short = audio.subarray(0, 400_000);
  const { id } = await people.deliver({}, wavFile({ data: short }));
  const opened = await people.listening(nurse, id);
  const before = await opened.listen({ range: 'bytes=0-99999' });
  expect(before.status).toBe(206);
  await scene.vault.kill();
  const again = await scene.folder.start();
  const after = await opened.listen({ range: 'bytes=0-99999' });
  expect(after.status).toBe(206);
  expect(after.body.equals(before.body)).toBe(true);
  expect((await opened.listen({ range: 'bytes=100000-199999' })).status).toBe(206);
  expect((await people.entries({ recording: id, action: 'playback.opened' })).length).toBe(1);
  // What was taken away stays away.
  await scene.http.post('/v1/auth/logout', { token: opened.token });
  await again.kill();
  await scene.folder.start();
  expectProblem(await opened.listen({ range: 'bytes=0-99' }), 401, 'unauthenticated');
});
