import { afterAll, beforeAll, describe } from 'vitest';
import type { OpenedStore } from '../support/opened-store.ts';
import { describeReading } from './object-store-reading.ts';
import { describeUpkeep } from './object-store-upkeep.ts';
import { describeFailedWriting, describeWriting } from './object-store-writing.ts';

/** The whole contract of src/storage/object-store.ts, for every implementation and every wrapper. */
export const describeObjectStore = (name: string, open: () => Promise<OpenedStore>): void => {
  describe(name, () => {
    let opened: OpenedStore;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(async () => opened?.close());
    describeWriting(() => opened);
    describeFailedWriting(() => opened);
    describeReading(open, () => opened);
    describeUpkeep(() => opened);
  });
};
