import type { PrismaClient } from './prisma/client.ts';

export type HoldRow = {
  readonly id: string;
  readonly recordingId: string;
  readonly placedBy: string;
  readonly reason: string;
  readonly placedAt: Date;
};

/** Holds and the count on the recording, always changed together. */
export const createHoldTable = (prisma: PrismaClient) => ({
  /** Idempotent by id. `gone`: the recording is not stored (any more), so there is nothing to hold. */
  async place(hold: HoldRow): Promise<'placed' | 'gone'> {
    return prisma.$transaction(async (tx) => {
      if ((await tx.hold.findUnique({ where: { id: hold.id } })) !== null) return 'placed';
      const { count } = await tx.recording.updateMany({
        where: { id: hold.recordingId, status: 'stored' },
        data: { holdCount: { increment: 1 } },
      });
      if (count === 0) return 'gone';
      await tx.hold.create({ data: hold });
      return 'placed';
    });
  },

  /** Idempotent: releasing twice changes nothing. */
  async release(id: string, at: Date): Promise<void> {
    await prisma.$transaction(async (tx) => {
      const { count } = await tx.hold.updateMany({
        where: { id, releasedAt: null },
        data: { releasedAt: at },
      });
      if (count === 0) return;
      const { recordingId } = await tx.hold.findUniqueOrThrow({
        where: { id },
        select: { recordingId: true },
      });
      await tx.recording.updateMany({ where: { id: recordingId }, data: { holdCount: { decrement: 1 } } });
    });
  },

  /** Ids of all recordings that must not be erased now. */
  async heldRecordings(): Promise<readonly string[]> {
    const rows = await prisma.hold.findMany({
      where: { releasedAt: null },
      select: { recordingId: true },
      distinct: ['recordingId'],
    });
    return rows.map(({ recordingId }) => recordingId);
  },

  /** An open hold of the recording; null when there is none by that id. */
  async findOpen(recordingId: string, id: string): Promise<HoldRow | null> {
    return prisma.hold.findFirst({ where: { id, recordingId, releasedAt: null } });
  },
});

export type HoldTable = ReturnType<typeof createHoldTable>;
