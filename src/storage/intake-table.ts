import type { Database } from './database.ts';

const looksLikeId = (text: string): boolean => /^[0-9a-f-]{36}$/.test(text);

/** What a source's uploads are given when the metadata does not say. */
export type SourceSettings = {
  readonly defaultUnitId: string | null;
  readonly defaultUnitActive: boolean;
  readonly announcement: string;
  readonly retentionClass: string;
  readonly legalBasis: string;
  /** Ed25519, 32 bytes in base64url, of a source that seals its recordings itself. */
  readonly signingKey: string | null;
  /** Days per retention class, as the organisation decided; parsed by core/retention.ts. */
  readonly policies: unknown;
};

/** A disabled unit is there still, but nobody hears anything of it. */
export type NamedUnit = { readonly id: string; readonly active: boolean };

/** Asked by every upload. */
const settingsOf = {
  name: 'intake-settings',
  text: `SELECT s.default_unit_id AS "defaultUnitId",
                u.id IS NOT NULL AND u.disabled_at IS NULL AS "defaultUnitActive", s.announcement, s.retention_class AS "retentionClass",
                s.legal_basis AS "legalBasis", s.signing_key AS "signingKey", o.policies
           FROM source s JOIN organisation o ON o.id = s.organisation_id
           LEFT JOIN care_unit u ON u.id = s.default_unit_id WHERE s.id = $1`,
};

/** The settings an upload is judged by. */
export const createIntakeTable = ({ prisma, pool }: Pick<Database, 'prisma' | 'pool'>) => ({
  async settings(sourceId: string): Promise<SourceSettings | null> {
    const { rows } = await pool.query<SourceSettings>({ ...settingsOf, values: [sourceId] });
    return rows[0] ?? null;
  },

  /** A care unit of the organisation by id or by name. */
  async unit(organisationId: string, careUnit: string): Promise<NamedUnit | null> {
    const row = await prisma.careUnit.findFirst({
      where: {
        organisationId,
        ...(looksLikeId(careUnit) ? { id: careUnit } : { name: careUnit }),
      },
      select: { id: true, disabledAt: true },
    });
    return row === null ? null : { id: row.id, active: row.disabledAt === null };
  },
});

export type IntakeTable = ReturnType<typeof createIntakeTable>;
