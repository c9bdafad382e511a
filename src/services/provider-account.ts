import { isUuid, type OrganisationId } from '../core/ids.ts';
import type { ProviderTokens } from '../crypto/provider-tokens.ts';
import type { TwilioTable } from '../storage/twilio-table.ts';

/** The provider of a source, and what it is asked with. */
export type ProviderAccount = {
  readonly accountSid: string;
  readonly authToken: string;
  readonly deleteAfter: boolean;
};

export type ProviderAccountDeps = {
  readonly twilio: Pick<TwilioTable, 'ofActive'>;
  readonly providerTokens: Pick<ProviderTokens, 'open'>;
};

/** The account of a source as it is now; null when there is no such source, it is disabled, or has none. */
export const createProviderAccounts =
  ({ twilio, providerTokens }: ProviderAccountDeps) =>
  async (source: string) => {
    const found = isUuid(source) ? await twilio.ofActive(source) : null;
    if (found === null) return null;
    const { tokenSealed, ...account } = found;
    const organisation = account.organisation as OrganisationId;
    const authToken = await providerTokens.open({ organisation, source }, tokenSealed);
    return { ...account, organisation, authToken };
  };

export type ProviderAccounts = ReturnType<typeof createProviderAccounts>;
