import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createIntegrator } from '../support/integrator.ts';
import { startScene } from '../support/scene.ts';

/** Searching by time and direction, which are not sealed, alone and with a number, which is. */
const CALLER = '070-174 06 51';
const calls = {
  before: { startedAt: '2026-05-01T07:59:59.999Z', direction: 'inbound', callerNumber: CALLER },
  first: { startedAt: '2026-05-01T08:00:00Z', direction: 'inbound', callerNumber: CALLER },
  back: { startedAt: '2026-05-01T08:30:00Z', direction: 'outbound', calledNumber: CALLER },
  stranger: { startedAt: '2026-05-01T08:45:00Z', direction: 'inbound', callerNumber: '070-174 06 52' },
  inside: { startedAt: '2026-05-01T08:50:00Z', direction: 'internal', callerNumber: CALLER },
  last: { startedAt: '2026-05-01T08:59:59.999Z', direction: 'outbound', callerNumber: CALLER },
  after: { startedAt: '2026-05-01T09:00:00Z', direction: 'inbound', callerNumber: CALLER },
} as const;
type Call = keyof typeof calls;

let scene: Awaited<ReturnType<typeof startScene>>;
let people: ReturnType<typeof createIntegrator>;
const nameOf = new Map<string, Call>();
beforeAll(async () => {
  scene = await startScene();
  people = createIntegrator(scene);
  for (const [name, metadata] of Object.entries(calls))
    nameOf.set((await people.deliver(metadata)).id, name as Call);
});
afterAll(() => scene.close());

/** Newest first, as the answer has them; what the scene itself stored is left out. */
const found = async (query: object): Promise<readonly Call[]> =>
  (await people.search(scene.own.nurse, query)).flatMap((id) => nameOf.get(id) ?? []);

const HOUR = { from: '2026-05-01T08:00:00Z', to: '2026-05-01T09:00:00Z' };
const day: readonly Call[] = ['after', 'last', 'inside', 'stranger', 'back', 'first', 'before'];

describe('by time', () => {
  test('from is included, to is not', async () => {
    expect(await found(HOUR)).toEqual(['last', 'inside', 'stranger', 'back', 'first']);
    expect(await found({ from: calls.after.startedAt, to: '2026-05-02T00:00:00Z' })).toEqual(['after']);
    expect(await found({ from: HOUR.from, to: HOUR.from })).toEqual([]);
  });

  test('one end alone, and an instant with an offset', async () => {
    expect(await found({ from: HOUR.to })).toEqual(['after']);
    expect(await found({ to: HOUR.from })).toEqual(['before']);
    expect(await found({ from: '2026-05-01T11:00:00+02:00' })).toEqual(['after']);
    expect(await found({})).toEqual(day);
  });

  test('with a number', async () => {
    expect(await found({ ...HOUR, callerNumber: CALLER })).toEqual(['last', 'inside', 'first']);
    expect(await found({ ...HOUR, calledNumber: CALLER })).toEqual(['back']);
  });
});

describe('by direction', () => {
  test.each([
    ['inbound', ['after', 'stranger', 'first', 'before']],
    ['outbound', ['last', 'back']],
    ['internal', ['inside']],
  ] as const)('%s', async (direction, expected) => {
    expect(await found({ direction, from: '2026-05-01T00:00:00Z', to: '2026-05-02T00:00:00Z' })).toEqual(
      expected,
    );
    // Alone it finds calls of other days too, and none of another direction.
    expect(await found({ direction })).toEqual(expected);
  });

  test('with a number, and with time and number', async () => {
    const inbound = { direction: 'inbound', callerNumber: CALLER };
    expect(await found(inbound)).toEqual(['after', 'first', 'before']);
    expect(await found({ ...inbound, ...HOUR })).toEqual(['first']);
    expect(await found({ ...inbound, callerNumber: '070-174 06 53' })).toEqual([]);
  });
});
