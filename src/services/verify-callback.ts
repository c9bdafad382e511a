import type { SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { SourceId } from '../core/ids.ts';
import { type CallbackForm, signedTexts } from '../core/recording-callback.ts';
import { isSignedText } from '../crypto/callback-signature.ts';
import type { ProviderAccount, ProviderAccounts } from './provider-account.ts';
import type { RecordRefusedCredential } from './record-refused-credential.ts';

export type VerifyCallbackDeps = {
  readonly accountOf: ProviderAccounts;
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
export const createVerifyCallback =
  (deps: VerifyCallbackDeps) =>
  async (claimed: ClaimedCallback): Promise<Verified> => {
    const { source, form, signature, address, request } = claimed;
    const account = await deps.accountOf(source);
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

export type VerifyCallback = ReturnType<typeof createVerifyCallback>;
