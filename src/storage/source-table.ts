import { bytes, disabling } from './columns.ts';
import { afterPosition, oldestFirst, type PageRequest } from './keyset-page.ts';
import type { PrismaClient } from './prisma/client.ts';

export type SourceColumns = {
  readonly name: string;
  readonly defaultUnitId: string | null;
  readonly announcement: string;
  readonly retentionClass: string;
  readonly legalBasis: string;
  /** Ed25519, 32 bytes in base64url; null for a source that does not seal its recordings itself. */
  readonly signingKey: string | null;
};

export type SourceSecrets = { readonly clientSecretHash: Buffer; readonly apiKeyHash: Buffer };

/** A source's account at Twilio, without its token. */
export type TwilioColumns = {
  readonly accountSid: string;
  readonly callbackUrl: string;
  readonly deleteAfter: boolean;
};

export type SourceRow = SourceColumns & {
  readonly id: string;
  readonly organisationId: string;
  readonly clientId: string;
  readonly createdAt: Date;
  readonly disabledAt: Date | null;
  readonly twilio: TwilioColumns | null;
};

const visible = {
  id: true,
  organisationId: true,
  name: true,
  clientId: true,
  defaultUnitId: true,
  announcement: true,
  retentionClass: true,
  legalBasis: true,
  signingKey: true,
  createdAt: true,
  disabledAt: true,
  twilio: { select: { accountSid: true, callbackUrl: true, deleteAfter: true } },
} as const;

/** Telephony systems and imports. Of their secrets only SHA-256 hashes are here. */
export const createSourceTable = (prisma: PrismaClient) => ({
  /** Idempotent by id. */
  async insert(
    source: SourceColumns &
      SourceSecrets & {
        readonly id: string;
        readonly organisationId: string;
        readonly clientId: string;
        at: Date;
      },
  ): Promise<void> {
    await prisma.$executeRaw`
      INSERT INTO source (id, organisation_id, name, client_id, client_secret_hash, api_key_hash, default_unit_id,
                          announcement, retention_class, legal_basis, signing_key, created_at)
      VALUES (${source.id}::uuid, ${source.organisationId}::uuid, ${source.name}, ${source.clientId},
              ${bytes(source.clientSecretHash)}, ${bytes(source.apiKeyHash)}, ${source.defaultUnitId}::uuid,
              ${source.announcement}, ${source.retentionClass}, ${source.legalBasis}, ${source.signingKey},
              ${source.at})
      ON CONFLICT (id) DO NOTHING`;
  },

  async find(id: string): Promise<SourceRow | null> {
    return prisma.source.findUnique({ where: { id }, select: visible });
  },

  /** For the token endpoint: the secret's hash, and whether neither source nor organisation is disabled. */
  async findClient(
    clientId: string,
  ): Promise<{ id: string; organisationId: string; clientSecretHash: Buffer; enabled: boolean } | null> {
    const row = await prisma.source.findUnique({
      where: { clientId },
      select: {
        id: true,
        organisationId: true,
        clientSecretHash: true,
        disabledAt: true,
        organisation: { select: { disabledAt: true } },
      },
    });
    if (row === null) return null;
    return {
      id: row.id,
      organisationId: row.organisationId,
      clientSecretHash: Buffer.from(row.clientSecretHash),
      enabled: row.disabledAt === null && row.organisation.disabledAt === null,
    };
  },

  async list(organisationId: string, { after, limit }: PageRequest): Promise<SourceRow[]> {
    return prisma.source.findMany({
      where: { organisationId, ...afterPosition(after) },
      select: visible,
      orderBy: oldestFirst,
      take: limit,
    });
  },

  async change(id: string, columns: Partial<SourceColumns>): Promise<void> {
    await prisma.source.updateMany({ where: { id }, data: columns });
  },

  async setSecrets(id: string, { clientSecretHash, apiKeyHash }: SourceSecrets): Promise<void> {
    await prisma.source.updateMany({
      where: { id },
      data: { clientSecretHash: bytes(clientSecretHash), apiKeyHash: bytes(apiKeyHash) },
    });
  },

  /** Null enables. Disabling twice keeps the first time. */
  async setDisabled(id: string, at: Date | null): Promise<void> {
    await prisma.source.updateMany(disabling(id, at));
  },
});

export type SourceTable = ReturnType<typeof createSourceTable>;
