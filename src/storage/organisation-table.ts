import { disabling } from './columns.ts';
import { afterPosition, oldestFirst, type PageRequest } from './keyset-page.ts';
import type { PrismaClient } from './prisma/client.ts';
import { insertUser, type NewUser } from './user-table.ts';

export type OrganisationRow = {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly disabledAt: Date | null;
};

const visible = { id: true, name: true, createdAt: true, disabledAt: true } as const;

/** Care givers: controllers of their recordings. */
export const createOrganisationTable = (prisma: PrismaClient) => ({
  /** The organisation together with its first administrator, so that neither is ever there alone. Idempotent by id. */
  async insertWithAdmin(organisation: { id: string; name: string; at: Date }, admin: NewUser): Promise<void> {
    await prisma.$transaction(async (tx) => {
      await tx.$executeRaw`
        INSERT INTO organisation (id, name, created_at)
        VALUES (${organisation.id}::uuid, ${organisation.name}, ${organisation.at})
        ON CONFLICT (id) DO NOTHING`;
      await insertUser(tx, admin);
    });
  },

  /** Whether another organisation has this name, or is about to get it. */
  async nameTaken(name: string, id: string): Promise<boolean> {
    const rows = await prisma.$queryRaw<{ taken: boolean }[]>`
      SELECT EXISTS (SELECT FROM organisation WHERE name = ${name} AND id <> ${id}::uuid)
          OR EXISTS (SELECT FROM pending_change
                      WHERE kind IN ('organisation.create', 'organisation.rename')
                        AND payload->>'name' = ${name} AND payload->>'id' <> ${id}) AS taken`;
    return rows[0]?.taken !== false;
  },

  async find(id: string): Promise<OrganisationRow | null> {
    return prisma.organisation.findUnique({ where: { id }, select: visible });
  },

  async findByName(name: string): Promise<OrganisationRow | null> {
    return prisma.organisation.findUnique({ where: { name }, select: visible });
  },

  async list({ after, limit }: PageRequest): Promise<OrganisationRow[]> {
    return prisma.organisation.findMany({
      where: afterPosition(after),
      select: visible,
      orderBy: oldestFirst,
      take: limit,
    });
  },

  async rename(id: string, name: string): Promise<void> {
    await prisma.organisation.updateMany({ where: { id }, data: { name } });
  },

  /** Null enables. Disabling twice keeps the first time. */
  async setDisabled(id: string, at: Date | null): Promise<void> {
    await prisma.organisation.updateMany(disabling(id, at));
  },

  /** Retention policies as stored; core/retention.ts gives them meaning. */
  async policies(id: string): Promise<unknown> {
    const row = await prisma.organisation.findUniqueOrThrow({ where: { id }, select: { policies: true } });
    return row.policies;
  },

  async setPolicies(id: string, policies: object): Promise<void> {
    await prisma.organisation.updateMany({ where: { id }, data: { policies } });
  },
});

export type OrganisationTable = ReturnType<typeof createOrganisationTable>;
