import { AppError } from '../core/errors.ts';
import type { ResumableUploadTable, UploadRow } from '../storage/resumable-upload-table.ts';

export type UploadClaimsDeps = {
  readonly uploads: Pick<ResumableUploadTable, 'claim' | 'extendClaim' | 'release' | 'find'>;
  readonly now: () => number;
  readonly newId: () => string;
};

/** The right to work on one upload, for as long as its owner lives. */
export type UploadClaim = {
  readonly token: string;
  /** As it was when it was claimed; nobody else has changed it since. */
  readonly row: UploadRow;
  /** Fires when another request of the source wants to know where the upload is: what is read from the client ends there. */
  readonly interrupted: AbortSignal;
  /** Never rejects: a claim that cannot be given back now runs out. */
  readonly release: () => Promise<void>;
};

/** A process that died keeps an upload from others for this long; one that lives says so four times in it. */
const LEASE_MS = 20_000;
const BEAT_MS = 5_000;

export const uploadLocked = (
  message = 'Another request works on this upload. Ask again shortly.',
): AppError => new AppError('upload_locked', message, { retryAfter: 2 });

type Holder = { readonly interrupt: () => void; readonly done: Promise<void> };

/** At most one request, sweep or process works on an upload at a time. */
export const createUploadClaims = ({ uploads, now, newId }: UploadClaimsDeps) => {
  const holders = new Map<string, Holder>();
  const until = (): Date => new Date(now() + LEASE_MS);

  const hold = (id: string) => {
    const stop = new AbortController();
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const interrupt = () =>
      stop.abort(uploadLocked('Another request asked for this upload; ask HEAD, then go on.'));
    holders.set(id, { interrupt, done });
    return {
      interrupted: stop.signal,
      letGo: (): void => {
        holders.delete(id);
        resolve();
      },
    };
  };

  return {
    /** Rejects with `upload_locked` when somebody else works on it, `not_found` when it is gone. */
    async take(id: string): Promise<UploadClaim> {
      if (holders.has(id)) throw uploadLocked();
      const { interrupted, letGo } = hold(id);
      const token = newId();
      try {
        const row = await uploads.claim(id, token, new Date(now()), until());
        if (row === null)
          throw (await uploads.find(id)) === null
            ? new AppError('not_found', 'There is no such upload.')
            : uploadLocked();
        const beat = setInterval(() => {
          // A missed beat only brings others nearer; the next statement under the claim finds out.
          uploads.extendClaim(id, token, until()).catch(() => undefined);
        }, BEAT_MS);
        const release = async (): Promise<void> => {
          clearInterval(beat);
          await uploads.release(id, token).catch(() => undefined);
          letGo();
        };
        return { token, row, interrupted, release };
      } catch (error) {
        letGo();
        throw error;
      }
    },

    /**
     * Makes whoever in this process still reads from a client for this upload stop there, and resolves when what had arrived
     * is durable. A connection that died without a word would otherwise keep its client out until it is given up.
     */
    async interrupt(id: string): Promise<void> {
      const holder = holders.get(id);
      holder?.interrupt();
      await holder?.done;
    },
  };
};

export type UploadClaims = ReturnType<typeof createUploadClaims>;
