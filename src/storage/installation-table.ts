import { randomUUID } from 'node:crypto';
import type { PrismaClient } from './prisma/client.ts';

/** The one row that says whose database this is. */
export const createInstallationTable = (prisma: PrismaClient) => ({
  async find(): Promise<{ readonly id: string; readonly name: string } | null> {
    return prisma.installation.findFirst({ select: { id: true, name: true } });
  },
  async create(name: string): Promise<{ readonly id: string; readonly name: string }> {
    return prisma.installation.create({ data: { id: randomUUID(), name }, select: { id: true, name: true } });
  },
});
