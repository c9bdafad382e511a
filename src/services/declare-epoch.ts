import type { Contradiction } from '../audit/contradiction.ts';
import type { EpochEntry } from '../audit/epoch-entries.ts';
import type { AuditWriter } from '../audit/writer.ts';
import { AppError } from '../core/errors.ts';
import type { Role } from '../core/events.ts';
import { canonicalEmail } from '../core/names.ts';
import type { Passwords } from '../crypto/passwords.ts';
import type { UserTable } from '../storage/user-table.ts';
import { newEventId } from './new-event-id.ts';

/** Attacker-controlled until they are checked. */
export type Approver = { readonly email: string; readonly password: string };

/** What the log lacks, and the number of the epoch that would say so. */
export type Loss = Contradiction & { readonly next: number };

export type DeclareEpochDeps = {
  readonly users: Pick<UserTable, 'findForSignIn'>;
  readonly passwords: Pick<Passwords, 'verify'>;
  readonly epochs: {
    /** Epochs that the log tells of, and whether the last of them has a checkpoint of its own. */
    readonly opened: () => Promise<{ readonly entries: readonly EpochEntry[]; readonly sealed: boolean }>;
    /** Null when nothing contradicts the log. */
    readonly loss: () => Promise<Loss | null>;
    /** Makes the first checkpoint of this epoch, by which the keys of the installation stand for it. */
    readonly seal: (epoch: number) => Promise<void>;
  };
  /** A writer of its own: that of this process is halted, as it must be. Closed by us. */
  readonly openWriter: () => Pick<AuditWriter, 'append' | 'close'>;
  readonly now: () => number;
};

export type DeclaredEpoch = Omit<EpochEntry['event']['detail'], 'reason'> & { readonly seq: number };

/** Who may answer for the log: those whose work it is, and never the operator alone. */
const answering: readonly Role[] = ['admin', 'compliance', 'installation_admin', 'installation_auditor'];

/** One sentence for every reason, as at the sign-in. */
const refused = (): AppError =>
  new AppError(
    'unauthenticated',
    'One of the two is not an administrator or compliance officer of this installation with that password.',
  );

/** Ids of two different people who have proven who they are. All passwords are looked at before anything is said. */
const approvedBy = async (
  { users, passwords }: DeclareEpochDeps,
  approvers: readonly Approver[],
): Promise<readonly string[]> => {
  if (approvers.length !== 2) throw new AppError('invalid_request', 'Exactly two people must approve.');
  const ids: (string | null)[] = [];
  for (const { email, password } of approvers) {
    const user = await users.findForSignIn(canonicalEmail(email) ?? '');
    const { ok } = await passwords.verify(user?.passwordHash ?? null, password);
    // One who has only reset another's password could answer for both.
    const own = ok && user?.enabled === true && !user.passwordInitial;
    ids.push(own && answering.includes(user.role as Role) ? user.id : null);
  }
  const known = ids.filter((id) => id !== null);
  if (known.length !== 2) throw refused();
  if (known[0] === known[1]) throw new AppError('invalid_request', 'The two must be different people.');
  return known;
};

/** Whether it says why to whoever reads the log. */
export const isReason = (text: string): boolean => text.trim().length >= 10 && text.length <= 500;

const assertReason = (reason: string): void => {
  if (!isReason(reason))
    throw new AppError('invalid_request', 'Give the reason in a sentence of 10 to 500 characters.');
};

const open = async (
  { epochs, openWriter, now }: DeclareEpochDeps,
  { reason, approvers }: { reason: string; approvers: readonly string[] },
): Promise<DeclaredEpoch> => {
  const found = await epochs.loss();
  if (found === null)
    throw new AppError(
      'conflict',
      'The log is not behind any checkpoint that is kept elsewhere, and contradicts none: there is nothing to declare.',
    );
  const { anchored, head, lostFrom, next: epoch } = found;
  const detail = {
    epoch,
    anchoredSize: anchored.size,
    anchoredRoot: anchored.root.toString('hex'),
    headSize: head.size,
    headRoot: head.root.toString('hex'),
    lostFrom,
    lostTo: anchored.size,
    approvers,
  };
  const writer = openWriter();
  try {
    const { seq } = await writer.append({
      id: newEventId(now()),
      at: now(),
      action: 'log.epoch_opened',
      outcome: 'success',
      actor: { type: 'operator', id: null, role: null },
      organisation: null,
      unit: null,
      recording: null,
      subject: null,
      purpose: null,
      session: null,
      request: null,
      detail: { ...detail, reason },
    });
    if (seq !== head.size)
      throw new AppError(
        'log_halted',
        'Somebody wrote to the log meanwhile: stop every vault on this database.',
      );
    return { ...detail, seq };
  } finally {
    await writer.close();
  }
};

/**
 * Opens a new epoch of the access log, when it contradicts the checkpoints that are kept elsewhere because a backup was
 * restored or a replica took over, and two people answer for it. The entry is the first of the epoch; its first checkpoint
 * is signed at once. Broken off in between, the same two finish it by asking again. Rejects with `unauthenticated`,
 * `invalid_request`, `conflict` when there is nothing to declare, `log_halted` for what no restore explains.
 */
export const createDeclareEpoch =
  (deps: DeclareEpochDeps) =>
  async (asked: {
    readonly reason: string;
    readonly approvers: readonly Approver[];
  }): Promise<DeclaredEpoch> => {
    assertReason(asked.reason);
    const approvers = await approvedBy(deps, asked.approvers);
    const { entries, sealed } = await deps.epochs.opened();
    const last = entries.at(-1);
    if (last !== undefined && !sealed) {
      const { reason: _, ...detail } = last.event.detail;
      if (detail.approvers.toSorted().join() !== approvers.toSorted().join())
        throw new AppError(
          'conflict',
          `Entry ${last.seq} opens epoch ${detail.epoch} and was not finished: the same two people must finish it. If nobody did this, keep this database as it is and call your security officer.`,
        );
      await deps.epochs.seal(detail.epoch);
      return { ...detail, seq: last.seq };
    }
    const declared = await open(deps, { reason: asked.reason, approvers });
    await deps.epochs.seal(declared.epoch);
    return declared;
  };

export type DeclareEpoch = ReturnType<typeof createDeclareEpoch>;
