import { disabling } from './columns.ts';
import { afterPosition, oldestFirst, type PageRequest } from './keyset-page.ts';
import type { PrismaClient } from './prisma/client.ts';

export type UnitRow = {
  readonly id: string;
  readonly organisationId: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly disabledAt: Date | null;
};

/** Care units of organisations. */
export const createUnitTable = (prisma: PrismaClient) => ({
  /** Idempotent by id. */
  async insert(unit: { id: string; organisationId: string; name: string; at: Date }): Promise<void> {
    await prisma.$executeRaw`
      INSERT INTO care_unit (id, organisation_id, name, created_at)
      VALUES (${unit.id}::uuid, ${unit.organisationId}::uuid, ${unit.name}, ${unit.at})
      ON CONFLICT (id) DO NOTHING`;
  },

  /** Whether another unit of the organisation has this name, or is about to get it. */
  async nameTaken(organisationId: string, name: string, id: string): Promise<boolean> {
    const rows = await prisma.$queryRaw<{ taken: boolean }[]>`
      SELECT EXISTS (SELECT FROM care_unit
                      WHERE organisation_id = ${organisationId}::uuid AND name = ${name} AND id <> ${id}::uuid)
          OR EXISTS (SELECT FROM pending_change
                      WHERE kind IN ('unit.create', 'unit.rename') AND payload->>'organisationId' = ${organisationId}
                        AND payload->>'name' = ${name} AND payload->>'id' <> ${id}) AS taken`;
    return rows[0]?.taken !== false;
  },

  async find(id: string): Promise<UnitRow | null> {
    return prisma.careUnit.findUnique({ where: { id } });
  },

  async list(organisationId: string, { after, limit }: PageRequest): Promise<UnitRow[]> {
    return prisma.careUnit.findMany({
      where: { organisationId, ...afterPosition(after) },
      orderBy: oldestFirst,
      take: limit,
    });
  },

  /** Those of the given units that are the organisation's and not disabled, with their names. */
  async usable(organisationId: string, ids: readonly string[]): Promise<{ id: string; name: string }[]> {
    return prisma.careUnit.findMany({
      where: { organisationId, id: { in: [...ids] }, disabledAt: null },
      select: { id: true, name: true },
      orderBy: { name: 'asc' },
    });
  },

  async rename(id: string, name: string): Promise<void> {
    await prisma.careUnit.updateMany({ where: { id }, data: { name } });
  },

  /** Null enables. Disabling twice keeps the first time. */
  async setDisabled(id: string, at: Date | null): Promise<void> {
    await prisma.careUnit.updateMany(disabling(id, at));
  },
});

export type UnitTable = ReturnType<typeof createUnitTable>;
