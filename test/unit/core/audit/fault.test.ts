import { describe, expect, it } from 'vitest';
import { createFaultList, joinFaults } from '../../../../src/core/audit/fault.ts';

const many = (from: number, to: number) => {
  const list = createFaultList();
  for (let index = from; index < to; index += 1) list.add('body', index, 'another');
  return list;
};
const indexes = (faults: readonly { readonly index: number | null }[]) => faults.map(({ index }) => index);
const FIRST = Array.from({ length: 20 }, (_, index) => index);

describe('what a verifier has found', () => {
  it('counts all and keeps the first by index, in whatever order they were found', () => {
    const list = createFaultList();
    for (let index = 999; index >= 0; index -= 1) list.add('body', index, 'another');
    expect(list.count()).toBe(1000);
    expect(indexes(list.sorted())).toEqual(FIRST);
  });

  it('is not silent about what concerns no entry, however many entries are wrong', () => {
    const list = many(0, 500);
    list.add('guard', null, 'The role can do too much.');
    expect(list.sorted().at(-1)).toMatchObject({ kind: 'guard', index: null });
    expect(indexes(list.sorted())).toEqual([...FIRST, null]);
    expect(indexes(joinFaults(list.sorted(), many(500, 600).sorted()))).toEqual([...FIRST, null]);
    expect(indexes(joinFaults(many(500, 600).sorted(), list.sorted()))).toEqual([...FIRST, null]);
  });

  it('keeps no more than 20 of those either', () => {
    const list = createFaultList();
    for (let i = 0; i < 1000; i += 1) list.add('anchor', null, `head ${i}`);
    expect([list.count(), list.sorted().length, list.sorted()[0]?.message]).toEqual([1000, 20, 'head 0']);
  });
});
