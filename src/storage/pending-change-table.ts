import type { PrismaClient } from './prisma/client.ts';

export type PendingChange = {
  readonly eventId: string;
  readonly kind: string;
  /** JSON; ids, closed words, sealed bytes and password hashes only, never a number or a name of a patient. */
  readonly payload: unknown;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
};

/** Changes announced to the access log but perhaps not yet carried out (services/audited-change.ts). */
export const createPendingChangeTable = (prisma: PrismaClient) => ({
  async insert(change: PendingChange): Promise<void> {
    await prisma.pendingChange.create({
      data: { ...change, payload: change.payload as object, createdAt: new Date(change.createdAt) },
    });
  },
  async remove(eventId: string): Promise<void> {
    await prisma.pendingChange.deleteMany({ where: { eventId } });
  },
  /** Oldest first, at most a thousand at a time. */
  async olderThan(time: number): Promise<PendingChange[]> {
    const rows = await prisma.pendingChange.findMany({
      where: { createdAt: { lte: new Date(time) } },
      orderBy: { createdAt: 'asc' },
      take: 1000,
    });
    return rows.map((row) => ({ ...row, createdAt: row.createdAt.getTime() }));
  },
});

export type PendingChangeTable = ReturnType<typeof createPendingChangeTable>;
