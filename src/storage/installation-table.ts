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
  async create(name: string, keyId: string): Promise<Installation> {
    return prisma.installation.create({ data: { id: randomUUID(), name, keyId }, select });
  },
});
