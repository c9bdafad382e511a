import { bytes } from './columns.ts';
import type { PrismaClient } from './prisma/client.ts';
import type { TwilioColumns } from './source-table.ts';

export type TwilioAccount = TwilioColumns & {
  readonly organisation: string;
  readonly tokenSealed: Buffer;
};

/** Accounts at Twilio by source. Of a token only what is sealed is here. */
export const createTwilioTable = (prisma: PrismaClient) => ({
  /** Of a source that may deliver: neither it nor its organisation is disabled. */
  async ofActive(sourceId: string): Promise<TwilioAccount | null> {
    const row = await prisma.twilioAccount.findFirst({
      where: { sourceId, source: { disabledAt: null, organisation: { disabledAt: null } } },
      include: { source: { select: { organisationId: true } } },
    });
    if (row === null) return null;
    const { accountSid, callbackUrl, deleteAfter, tokenSealed, source } = row;
    return {
      accountSid,
      callbackUrl,
      deleteAfter,
      tokenSealed: Buffer.from(tokenSealed),
      organisation: source.organisationId,
    };
  },

  /** Null removes it. Idempotent. */
  async set(
    sourceId: string,
    account: (TwilioColumns & { readonly tokenSealed: Buffer }) | null,
  ): Promise<void> {
    if (account === null) {
      await prisma.twilioAccount.deleteMany({ where: { sourceId } });
      return;
    }
    const columns = { ...account, tokenSealed: bytes(account.tokenSealed) };
    await prisma.twilioAccount.upsert({
      where: { sourceId },
      create: { sourceId, ...columns },
      update: columns,
    });
  },
});

export type TwilioTable = ReturnType<typeof createTwilioTable>;
