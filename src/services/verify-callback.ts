import type { SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import { isUuid, type OrganisationId, type SourceId } from '../core/ids.ts';
import { type CallbackForm, signedTexts } from '../core/recording-callback.ts';
import { isSignedText } from '../crypto/callback-signature.ts';
import type { ProviderTokens } from '../crypto/provider-tokens.ts';
import type { TwilioTable } from '../storage/twilio-table.ts';
import type { RecordRefusedCredential } from './record-refused-credential.ts';

export type VerifyCallbackDeps = {
  readonly twilio: Pick<TwilioTable, 'ofActive'>;
  readonly providerTokens: Pick<ProviderTokens, 'open'>;
  readonly recordRefusedCredential: RecordRefusedCredential;
};

/** As it came: all of it is attacker-controlled. */
export type ClaimedCallback = {
  readonly source: string;
  /** Null: no form that is looked at. */
  readonly form: CallbackForm | null;
  readonly signature: string;
  readonly address: string;
  readonly request: string;
};

/** The provider of a source, and what it is asked with. */
export type ProviderAccount = {
  readonly accountSid: string;
  readonly authToken: string;
  readonly deleteAfter: boolean;
};

type Verified = { readonly actor: SourceActor; readonly account: ProviderAccount };

/** Nobody's: a source that is not there costs as much as one that is, and is answered alike. */
const nobody = {
  authToken: 'x'.repeat(32),
  callbackUrl: 'https://vault.invalid/v1/ingest/twilio/00000000-0000-0000-0000-000000000000',
};

/**
 * Whose callback this is, by its signature alone. Rejects with `unauthenticated`, the same for a source that is not there,
 * is disabled or has no account, and for a signature that is not its account's; each is counted in the log.
 */
export const createVerifyCallback = (deps: VerifyCallbackDeps) => {
  const accountOf = async (source: string) => {
    const found = isUuid(source) ? await deps.twilio.ofActive(source) : null;
    if (found === null) return null;
    const { tokenSealed, ...account } = found;
    const organisation = account.organisation as OrganisationId;
    const authToken = await deps.providerTokens.open({ organisation, source }, tokenSealed);
    return { ...account, organisation, authToken };
  };

  return async (claimed: ClaimedCallback): Promise<Verified> => {
    const { source, form, signature, address, request } = claimed;
    const account = await accountOf(source);
    const { authToken, callbackUrl } = account ?? nobody;
    const signed = isSignedText(authToken, signedTexts(callbackUrl, form ?? new Map()), signature);
    if (account === null || form === null || !signed) {
      await deps.recordRefusedCredential({ address, reason: 'bad_signature', request });
      throw new AppError('unauthenticated', 'This callback is not signed by an account that is known here.');
    }
    const { accountSid, deleteAfter, organisation } = account;
    return {
      actor: { type: 'source', id: source as SourceId, role: 'source', organisation, session: null },
      account: { accountSid, authToken, deleteAfter },
    };
  };
};

export type VerifyCallback = ReturnType<typeof createVerifyCallback>;
