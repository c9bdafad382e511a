import type { AuditWriter } from '../audit/writer.ts';
import { mayEver } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { Role } from '../core/events.ts';
import { bearerSecretHash } from '../crypto/bearer-secrets.ts';
import type { PlaybackTable } from '../storage/playback-table.ts';
import type { Authenticate, Credential } from './authenticate.ts';
import type { RecordDenial } from './record-denial.ts';

export type PieceRequest = {
  readonly playbackId: string;
  readonly credential: Credential;
  readonly request: string;
  /** Route pattern, never the URL. */
  readonly route: string;
};

export type AuthorisePieceDeps = {
  readonly playbacks: Pick<PlaybackTable, 'checkPiece'>;
  readonly audit: Pick<AuditWriter, 'assertAppendable'>;
  readonly authenticate: Authenticate;
  readonly recordDenial: RecordDenial;
  readonly now: () => number;
};

const sessionOf = (credential: Credential): { id: string } | { cookieHash: Buffer } | null => {
  if (credential.kind === 'session') return { id: credential.sessionId };
  const cookieHash = credential.kind === 'cookie' ? bearerSecretHash(credential.value, 'refresh') : null;
  return cookieHash === null ? null : { cookieHash };
};

const notThere = (): AppError =>
  new AppError('not_found', 'There is no such playback, or it has ended. Open the recording again.');

/**
 * Whether this piece may be heard now: session, user, unit, recording and playback in one statement, so that whatever was
 * taken away counts from the next piece. While the access log takes no entry nobody is given sound, though the entry of
 * this playback is in it: `log_unavailable`, `log_halted`. Rejects with `unauthenticated`, or, once the refusal is in the
 * log, with `forbidden` or `not_found`.
 */
export const createAuthorisePiece = (deps: AuthorisePieceDeps) => {
  /** Only a refusal has the time to ask who it is; whoever is nobody (any more) is told that instead. */
  const refuse = async ({ credential, request, route }: PieceRequest): Promise<never> => {
    const actor = await deps.authenticate(credential);
    const permitted = mayEver(actor.role, 'playback.listen');
    await deps.recordDenial({ actor, request, route, reason: permitted ? 'unknown' : 'role' });
    throw permitted
      ? notThere()
      : new AppError('forbidden', 'Your role does not permit this (playback.listen).');
  };

  return async (asked: PieceRequest): Promise<{ recordingId: string; generation: string }> => {
    await deps.audit.assertAppendable();
    const session = sessionOf(asked.credential);
    const check =
      session && (await deps.playbacks.checkPiece(asked.playbackId, session, new Date(deps.now())));
    if (!check?.sessionValid || !mayEver(check.role as Role, 'playback.listen')) return refuse(asked);
    const { playbackValid, stored, inUnit, recordingId, generation } = check;
    if (!playbackValid || !stored || !inUnit || recordingId === null || generation === null)
      return refuse(asked);
    return { recordingId, generation };
  };
};

export type AuthorisePiece = ReturnType<typeof createAuthorisePiece>;
