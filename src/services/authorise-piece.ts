import { mayEver } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { Role } from '../core/events.ts';
import { bearerSecretHash } from '../crypto/bearer-secrets.ts';
import type { PlaybackTable } from '../storage/playback-table.ts';
import type { Credential } from './authenticate.ts';

export type PieceRequest = { readonly playbackId: string; readonly credential: Credential };

const sessionOf = (credential: Credential): { id: string } | { cookieHash: Buffer } | null => {
  if (credential.kind === 'session') return { id: credential.sessionId };
  const cookieHash = credential.kind === 'cookie' ? bearerSecretHash(credential.value, 'refresh') : null;
  return cookieHash === null ? null : { cookieHash };
};

/**
 * Whether this piece may be heard now: session, user, unit, recording and playback in one statement, so that whatever was
 * taken away counts from the next piece. Rejects with `unauthenticated`, `forbidden` or `not_found`.
 */
export const createAuthorisePiece =
  ({
    playbacks,
    now,
  }: {
    readonly playbacks: Pick<PlaybackTable, 'checkPiece'>;
    readonly now: () => number;
  }) =>
  async ({ playbackId, credential }: PieceRequest): Promise<{ recordingId: string; generation: string }> => {
    const session = sessionOf(credential);
    const check = session && (await playbacks.checkPiece(playbackId, session, new Date(now())));
    if (!check?.sessionValid) throw new AppError('unauthenticated', 'Sign in first: the session has ended.');
    if (!mayEver(check.role as Role, 'playback.listen'))
      throw new AppError('forbidden', 'Your role does not permit this (playback.listen).');
    const { playbackValid, stored, inUnit, recordingId, generation } = check;
    if (!playbackValid || !stored || !inUnit || recordingId === null || generation === null)
      throw new AppError(
        'not_found',
        'There is no such playback, or it has ended. Open the recording again.',
      );
    return { recordingId, generation };
  };

export type AuthorisePiece = ReturnType<typeof createAuthorisePiece>;
