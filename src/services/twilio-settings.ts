import type { OrganisationId } from '../core/ids.ts';
import { allowedAuthority } from '../core/webhook-url.ts';
import type { ProviderTokens } from '../crypto/provider-tokens.ts';
import type { RecordingFetchTable } from '../storage/recording-fetch-table.ts';
import type { SourceTable, TwilioColumns } from '../storage/source-table.ts';
import type { TwilioTable } from '../storage/twilio-table.ts';
import type { AuditedChanges, Effects } from './audited-change.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';
import { invalid } from './fault.ts';

export type TwilioChanges = {
  /** The token is sealed, in hex. Null: the source has no account any more. */
  'source.twilio': {
    readonly id: string;
    readonly account: (TwilioColumns & { readonly tokenSealed: string }) | null;
  };
};

/**
 * How the change is carried out once its entry is in the log. Idempotent. What could not be fetched with the account as it was
 * is asked for again at once.
 */
export const createTwilioEffects = ({
  twilio,
  fetches,
  now,
}: {
  readonly twilio: Pick<TwilioTable, 'set'>;
  readonly fetches: Pick<RecordingFetchTable, 'wake'>;
  readonly now: () => number;
}): Effects<TwilioChanges> => ({
  'source.twilio': {
    async apply({ id, account }) {
      if (account === null) {
        await twilio.set(id, null);
        return;
      }
      await twilio.set(id, { ...account, tokenSealed: Buffer.from(account.tokenSealed, 'hex') });
      await fetches.wake(id, new Date(now()));
    },
  },
});

export type TwilioSettingsDeps = {
  readonly sources: Pick<SourceTable, 'find'>;
  readonly providerTokens: Pick<ProviderTokens, 'seal'>;
  readonly authority: Authority;
  readonly changes: Pick<AuditedChanges<TwilioChanges>, 'perform'>;
  readonly now: () => number;
};

export type TwilioRequest = TwilioColumns & { readonly authToken: string };

/** Kept letter by letter, for signatures are made over it; nothing of it is asked for here. */
const callbackUrlOf = (text: string): string => {
  const authority = /^https:\/\/([^/?#@]+)\/[\x21\x24-\x3b\x3d\x40-\x5a\x5f\x61-\x7a\x7e]*$/.exec(text)?.[1];
  if (authority !== undefined && allowedAuthority(authority) !== null && URL.canParse(text)) return text;
  throw invalid('body/callbackUrl', 'must be https:// with host and path, without user, query and fragment');
};

/** The account at Twilio whose recordings are a source's. Its token is sealed before anything else is done with it. */
export const createTwilioSettings = (deps: TwilioSettingsDeps) => {
  const find = async (caller: Caller, id: string) =>
    deps.authority.over(caller, 'source.manage', await deps.sources.find(id));
  const changed = (caller: Caller, target: string, change: string) =>
    ({
      ...eventBase(caller.actor, caller.request, deps.now()),
      action: 'source.changed',
      outcome: 'success',
      detail: { target, change },
    }) as const;

  return {
    async set(caller: Caller, id: string, asked: TwilioRequest): Promise<TwilioColumns> {
      const source = await find(caller, id);
      const { authToken, ...rest } = asked;
      const columns = { ...rest, callbackUrl: callbackUrlOf(rest.callbackUrl) };
      const place = { organisation: source.organisationId as OrganisationId, source: id };
      const tokenSealed = (await deps.providerTokens.seal(place, authToken)).toString('hex');
      const account = { ...columns, tokenSealed };
      await deps.changes.perform(changed(caller, id, 'twilio'), 'source.twilio', { id, account });
      return columns;
    },

    /** Its callbacks are worth nothing from the next one on. */
    async remove(caller: Caller, id: string): Promise<void> {
      const source = await find(caller, id);
      if (source.twilio === null) return;
      const event = changed(caller, id, 'twilio removed');
      await deps.changes.perform(event, 'source.twilio', { id, account: null });
    },
  };
};

export type TwilioSettings = ReturnType<typeof createTwilioSettings>;
