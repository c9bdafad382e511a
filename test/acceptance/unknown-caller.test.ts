import { afterAll, beforeAll, expect, test } from 'vitest';
import { createIntegrator } from '../support/integrator.ts';
import { startScene } from '../support/scene.ts';

/** Whose call it was is not known yet: the log has a key for it all the same, by which its entries are found later. */
let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;

beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
});
afterAll(() => scene?.close());

const KEY = /^\d+:[0-9a-f]{32}$/;

/** Everything that is done with a patient's data, once. */
const goThrough = async (recording: string): Promise<void> => {
  const token = await scene.own.nurse.token();
  expect((await scene.http.get(`/v1/recordings/${recording}`, { token })).status).toBe(200);
  const playback = await people.listening(scene.own.nurse, recording);
  expect((await playback.listen({ range: 'bytes=0-999' })).status).toBe(206);
  const heard = { token, json: { spans: [[0, 100]] } };
  expect((await scene.http.post(`/v1/playbacks/${playback.playbackId}/heard`, heard)).status).toBe(204);
  expect((await people.open(scene.own.nurse, recording, {})).status).toBe(403);
};

const subjectsOf = async (recording: string): Promise<Map<string, string | null>> =>
  new Map((await people.entries({ recording })).map(({ action, subject }) => [action, subject]));

test.each([
  ['withheld', { callerNumber: 'anonymous' }],
  ['absent', {}],
  ['short, as an extension', { callerNumber: '4711' }],
])(
  'HSLF-1 a caller’s number that is %s: every entry of the call carries one key, which is nobody else’s',
  async (_how, metadata) => {
    const { id } = await people.deliver(metadata);
    const other = await people.deliver(metadata);
    await goThrough(id);
    const subjects = await subjectsOf(id);
    expect([...subjects.keys()].sort()).toEqual([
      'playback.denied',
      'playback.heard',
      'playback.opened',
      'recording.stored',
      'recording.viewed',
    ]);
    const [key, ...more] = new Set(subjects.values());
    expect(more).toEqual([]);
    expect(key).toMatch(KEY);
    expect((await subjectsOf(other.id)).get('recording.stored')).not.toBe(key);

    // Re-linkable: whoever knows one entry of the call finds them all by its key, and no other call's.
    const found = await people.entries({ subject: key });
    expect(new Set(found.map(({ recording }) => recording))).toEqual(new Set([id]));
    expect(found).toHaveLength((await people.entries({ recording: id })).length);
  },
);

test('HSLF-1 a caller whose number is known has the same key in every call', async () => {
  const [one, two] = [
    await people.deliver({ callerNumber: '070-174 06 77' }),
    await people.deliver({ callerNumber: '+46701740677' }),
  ];
  const key = (await subjectsOf(one.id)).get('recording.stored');
  expect(key).toMatch(KEY);
  expect((await subjectsOf(two.id)).get('recording.stored')).toBe(key);
});
