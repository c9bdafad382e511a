import type { PrismaClient } from './prisma/client.ts';

const looksLikeId = (text: string): boolean => /^[0-9a-f-]{36}$/.test(text);

/** What a source's uploads are given when the metadata does not say. */
export type SourceSettings = {
  readonly defaultUnitId: string | null;
  readonly announcement: string;
  readonly retentionClass: string;
  readonly legalBasis: string;
  /** Days per retention class, as the organisation decided; parsed by core/retention.ts. */
  readonly policies: unknown;
};

/** The settings an upload is judged by. */
export const createIntakeTable = (prisma: PrismaClient) => ({
  async settings(sourceId: string): Promise<SourceSettings | null> {
    const row = await prisma.source.findUnique({
      where: { id: sourceId },
      select: {
        defaultUnitId: true,
        announcement: true,
        retentionClass: true,
        legalBasis: true,
        organisation: { select: { policies: true } },
      },
    });
    if (row === null) return null;
    const { organisation, ...settings } = row;
    return { ...settings, policies: organisation.policies };
  },

  /** A care unit of the organisation by id or by name; null when there is none, or it is disabled. */
  async unitId(organisationId: string, careUnit: string): Promise<string | null> {
    const row = await prisma.careUnit.findFirst({
      where: {
        organisationId,
        disabledAt: null,
        ...(looksLikeId(careUnit) ? { id: careUnit } : { name: careUnit }),
      },
      select: { id: true },
    });
    return row?.id ?? null;
  },
});

export type IntakeTable = ReturnType<typeof createIntakeTable>;
