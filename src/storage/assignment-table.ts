import { Prisma, type PrismaClient } from './prisma/client.ts';

/** A stored recording that no nurse can hear: it has no care unit, or one that is disabled. Nothing of the call. */
export type UnassignedRow = {
  readonly id: string;
  readonly sourceId: string;
  /** The disabled one. */
  readonly unitId: string | null;
  readonly startedAt: Date;
  readonly storedAt: Date;
};

export type UnassignedPosition = { readonly startedAt: Date; readonly id: string };

const columns = Prisma.raw(
  `r.id::text AS "id", r.source_id::text AS "sourceId", r.unit_id::text AS "unitId", r.started_at AS "startedAt",
   r.stored_at AS "storedAt"`,
);

/** Which care unit a recording belongs to, where none was known when it came. */
export const createAssignmentTable = (prisma: PrismaClient) => ({
  /**
   * `taken`: it has a care unit that is not disabled, or another assignment of it is announced. `gone`: not stored (any
   * more). `id` names the assignment that asks.
   */
  async claim(recordingId: string, id: string): Promise<'free' | 'taken' | 'gone'> {
    const rows = await prisma.$queryRaw<{ status: string; free: boolean }[]>`
      SELECT r.status, (r.unit_id IS NULL OR u.disabled_at IS NOT NULL) AND NOT EXISTS (
               SELECT FROM pending_change
                WHERE kind = 'recording.assign' AND payload->>'recording' = ${recordingId} AND payload->>'id' <> ${id}
             ) AS free
        FROM recording r LEFT JOIN care_unit u ON u.id = r.unit_id WHERE r.id = ${recordingId}::uuid`;
    const [row] = rows;
    if (row?.status !== 'stored') return 'gone';
    return row.free ? 'free' : 'taken';
  },

  /** Idempotent, and the newest entry wins. A recording that has been erased since stays as it is. */
  async assign(recordingId: string, unitId: string, seq: number): Promise<void> {
    await prisma.recording.updateMany({
      where: {
        id: recordingId,
        status: { in: ['stored', 'erasing'] },
        OR: [{ assignedSeq: null }, { assignedSeq: { lt: seq } }],
      },
      data: { unitId, assignedSeq: seq },
    });
  },

  /** Where a recording of the organisation stands in the list; null when there is none by this id. */
  async position(organisationId: string, id: string): Promise<UnassignedPosition | null> {
    return prisma.recording.findFirst({
      where: { id, organisationId },
      select: { startedAt: true, id: true },
    });
  },

  /** Newest call first. Those of nobody and those of each disabled unit are merged, each by its own index. */
  async unassigned(
    organisationId: string,
    { after, limit }: { readonly after: UnassignedPosition | null; readonly limit: number },
  ): Promise<UnassignedRow[]> {
    const further =
      after === null
        ? Prisma.empty
        : Prisma.sql`AND (r.started_at, r.id) < (${after.startedAt}, ${after.id}::uuid)`;
    const newest = Prisma.sql`ORDER BY r.started_at DESC, r.id DESC LIMIT ${limit}`;
    return prisma.$queryRaw<UnassignedRow[]>`
      SELECT * FROM (
        (SELECT ${columns} FROM recording r
          WHERE r.organisation_id = ${organisationId}::uuid AND r.status = 'stored' AND r.unit_id IS NULL ${further} ${newest})
        UNION ALL
        (SELECT of_unit.* FROM care_unit u CROSS JOIN LATERAL (
           SELECT ${columns} FROM recording r WHERE r.unit_id = u.id AND r.status = 'stored' ${further} ${newest}) of_unit
          WHERE u.organisation_id = ${organisationId}::uuid AND u.disabled_at IS NOT NULL)
      ) found ORDER BY "startedAt" DESC, id DESC LIMIT ${limit}`;
  },
});

export type AssignmentTable = ReturnType<typeof createAssignmentTable>;
