import { afterAll, beforeAll, expect } from 'vitest';
import { type Call, type CareLineVault, newCall, startCareLine } from './care-line.ts';

/** For the tests of a file a vault with one call in it, which is stopped. */
export const keepsOneCall = () => {
  let world: CareLineVault;
  let call: Call;
  let recording: string;
  beforeAll(async () => {
    world = await startCareLine();
    call = newCall(700_000);
    recording = await world.line.store(call);
    await world.line.nurse.token();
    await world.vault.stop();
  });
  afterAll(() => world?.folder.remove());

  return {
    get folder() {
      return world.folder;
    },
    get line() {
      return world.line;
    },
    get call() {
      return call;
    },
    /** Starts, plays, stops: what is there is whole. */
    expectSound: async (): Promise<void> => {
      const vault = await world.folder.start();
      expect((await world.line.hear(recording)).equals(call.audio)).toBe(true);
      expect(await vault.stop()).toBe(0);
    },
  };
};
