import { expect, test } from 'vitest';
import { hearingActions, isTakenOut } from '../../../../src/core/audit/hearing-lists.ts';
import { everyAction } from '../../../support/audit-events.ts';

test('whatever lets sound, or a key of it, out of the vault is told to who asks who heard it', () => {
  const waysOut = everyAction.filter((action) =>
    /^recording\.(.*_)?(exported|downloaded|opened)$/.test(action),
  );
  expect(waysOut).not.toEqual([]);
  expect(waysOut.filter(isTakenOut)).toEqual(waysOut);
  expect(hearingActions).toEqual(expect.arrayContaining([...waysOut, 'playback.opened', 'playback.denied']));
});

test('what a player was given is no taking out, and what it stated stands beside it', () => {
  expect(
    ['playback.opened', 'playback.denied', 'playback.heard', 'recording.erased'].filter((one) =>
      isTakenOut(one as never),
    ),
  ).toEqual([]);
  expect(hearingActions).not.toContain('playback.heard');
});
