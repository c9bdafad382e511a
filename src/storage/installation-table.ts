import { randomUUID } from 'node:crypto';
import type { PrismaClient } from './prisma/client.ts';

export type Installation = {
  readonly id: string;
  readonly name: string;
  /** Names the key folder that everything in this database was sealed with. */
  readonly keyId: string;
};

const select = { id: true, name: true, keyId: true } as const;

/** The one row that says whose database this is. */
export const createInstallationTable = (prisma: PrismaClient) => ({
  async find(): Promise<Installation | null> {
    return prisma.installation.findFirst({ select });
  },
  /** How many migrations the database has been through. */
  async schema(): Promise<number> {
    const rows = await prisma.$queryRaw<{ count: number }[]>`
      SELECT count(*)::int AS count FROM _prisma_migrations WHERE finished_at IS NOT NULL`;
    return rows[0]?.count ?? 0;
  },
  async create(name: string, keyId: string): Promise<Installation> {
    return prisma.installation.create({ data: { id: randomUUID(), name, keyId }, select });
  },
});
