import { bytes, disabling } from './columns.ts';
import { afterPosition, oldestFirst, type PageRequest } from './keyset-page.ts';
import type { PrismaClient } from './prisma/client.ts';

export type WebhookRow = {
  readonly id: string;
  readonly organisationId: string;
  readonly url: string;
  readonly events: readonly string[];
  readonly createdAt: Date;
  readonly disabledAt: Date | null;
};

/** Of which a webhook's secret is made, together with the organisation's key. */
export type SecretSeed = { readonly secretSalt: Buffer; readonly secretVersion: number };

const visible = {
  id: true,
  organisationId: true,
  url: true,
  events: true,
  createdAt: true,
  disabledAt: true,
} as const;

/** Where an organisation is told what became of its recordings. No secret is here. */
export const createWebhookTable = (prisma: PrismaClient) => ({
  /** Idempotent by id. */
  async insert({
    at,
    secretSalt,
    events,
    ...webhook
  }: Omit<WebhookRow, 'createdAt' | 'disabledAt'> & SecretSeed & { readonly at: Date }): Promise<void> {
    await prisma.webhook.createMany({
      data: [{ ...webhook, events: [...events], secretSalt: bytes(secretSalt), createdAt: at }],
      skipDuplicates: true,
    });
  },

  async find(id: string): Promise<WebhookRow | null> {
    return prisma.webhook.findUnique({ where: { id }, select: visible });
  },

  /** Those that are not disabled. */
  async count(organisationId: string): Promise<number> {
    return prisma.webhook.count({ where: { organisationId, disabledAt: null } });
  },

  async list(organisationId: string, { after, limit }: PageRequest): Promise<WebhookRow[]> {
    return prisma.webhook.findMany({
      where: { organisationId, ...afterPosition(after) },
      select: visible,
      orderBy: oldestFirst,
      take: limit,
    });
  },

  /** What is changed is tried at once, whatever failed before. */
  async change(
    id: string,
    { url, events }: { readonly url?: string; readonly events?: readonly string[] },
  ): Promise<void> {
    await prisma.webhook.updateMany({
      where: { id },
      data: {
        ...(url === undefined ? {} : { url }),
        ...(events === undefined ? {} : { events: [...events] }),
        failures: 0,
        resumeAt: null,
      },
    });
  },

  async setSecret(id: string, { secretSalt, secretVersion }: SecretSeed): Promise<void> {
    await prisma.webhook.updateMany({
      where: { id },
      data: { secretSalt: bytes(secretSalt), secretVersion },
    });
  },

  /** Null enables. Disabling twice keeps the first time. */
  async setDisabled(id: string, at: Date | null): Promise<void> {
    await prisma.webhook.updateMany(disabling(id, at));
  },
});

export type WebhookTable = ReturnType<typeof createWebhookTable>;
