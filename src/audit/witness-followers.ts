import { setTimeout as pause } from 'node:timers/promises';
import { checkpointName } from '../core/audit/checkpoint.ts';
import { witnessName } from '../core/audit/cosignature.ts';
import { signatureLine } from '../core/audit/note.ts';
import { isAppError } from '../core/errors.ts';
import type { AuditLogger } from './audit-logger.ts';
import type { CheckpointPlace } from './checkpoint-place.ts';
import type { CheckpointRows, KeptNote } from './checkpoint-rows.ts';
import type { AskWitness, WitnessAddress, WitnessReply } from './witness-client.ts';

export type WitnessFollowersDeps = {
  readonly rows: Pick<CheckpointRows, 'consistency' | 'state' | 'positions' | 'keepCosignature'>;
  readonly places: readonly CheckpointPlace[];
  readonly witnesses: readonly WitnessAddress[];
  readonly ask: AskWitness;
  readonly log: AuditLogger;
  /** Milliseconds of a clock that does not jump. */
  readonly now: () => number;
};

/** Who is shown checkpoints. None of it ever delays an entry or a checkpoint. */
export type WitnessFollowers = {
  /** Shows the checkpoint to every witness that is not busy or paused; each has the newest in the end. */
  readonly offer: (kept: KeptNote) => void;
  /** Gives those who are just being asked two seconds, then gives up. */
  readonly close: () => Promise<void>;
};

/** `null`: all is well. `stranger`: it does not know this log. `ahead`: it states that it has seen more than there is. */
type Trouble = 'away' | 'stranger' | 'refused' | 'ahead' | null;

type Follower = {
  readonly witness: WitnessAddress;
  readonly name: string;
  /** The newest that is kept with its cosignature; null before the database was asked. */
  position: number | null;
  waiting: KeptNote | null;
  working: Promise<void> | null;
  failures: number;
  pausedUntil: number;
  trouble: Trouble;
};

/** Pauses after a failure, in milliseconds; the last one repeats. */
const PAUSES = [0, 10_000, 30_000, 60_000, 300_000];
const LAST_WORD_MS = 2_000;
/** The size it has may change while it is asked: another process of this vault asks it too. */
const TRIES = 3;

const sayings = {
  away: ['warn', 'A witness of the access log cannot be reached; it is tried again'],
  stranger: [
    'warn',
    'A witness does not know the access log yet: give it the line of "callvault log-key"; it is tried again',
  ],
  refused: ['error', 'ALARM: a witness refuses the access log: it is not the one that the witness has seen'],
  ahead: ['error', 'ALARM: a witness states that it has seen more entries of the access log than there are'],
} as const;

/** Says what changed, once: a witness is asked every few seconds. */
const tell = ({ log }: WitnessFollowersDeps, follower: Follower, trouble: Trouble, size: number): void => {
  const before = follower.trouble;
  follower.trouble = trouble;
  if (trouble === before) return;
  const what = follower.witness.key.name;
  if (trouble === null) log.info({ what, size }, 'A witness cosigns the access log again');
  else log[sayings[trouble][0]]({ what, size }, sayings[trouble][1]);
};

const copyCosigned = async (deps: WitnessFollowersDeps, kept: KeptNote, line: string, id: string) => {
  for (const place of deps.places)
    try {
      await place.keep(`${checkpointName(kept.size)}.${id}`, `${kept.note}${line}`);
    } catch (err) {
      // It is in the database; the next one is copied again.
      deps.log.warn({ err, size: kept.size }, 'A cosignature could not be copied');
    }
};

type Asked = { readonly reply: WitnessReply; readonly oldSize: number };

/** Asks from the size we think it has, and once it has stated another, from there. */
const askFromItsSize = async (
  { rows, ask }: WitnessFollowersDeps,
  { witness, position }: Follower,
  kept: KeptNote,
  signal: AbortSignal,
): Promise<Asked> => {
  let oldSize = Math.min(position ?? 0, kept.size);
  for (let tries = 1; ; tries += 1) {
    const proof = await rows.consistency(oldSize, kept.size);
    const reply = await ask(witness, { oldSize, proof, note: kept.note }, signal);
    const other = reply.kind === 'size' && reply.size !== oldSize && reply.size <= kept.size;
    if (!other || tries === TRIES) return { reply, oldSize };
    oldSize = reply.size;
  }
};

/**
 * C2SP tlog-witness: 404 for a log that it does not know, 403 for a key of it that it does not, as after an epoch was
 * declared; 409 for another tree of the same size, 422 for one that does not continue what it has seen. Any other status
 * says nothing about the log.
 */
const meanings: Readonly<Record<number, Trouble>> = {
  403: 'stranger',
  404: 'stranger',
  409: 'refused',
  422: 'refused',
};

/** What an answer without a cosignature means. A stated size is nobody's proof, so it halts nothing. */
const troubleOf = async ({ rows }: WitnessFollowersDeps, { reply, oldSize }: Asked): Promise<Trouble> => {
  if (reply.kind === 'size') {
    if (reply.size > (await rows.state()).head.size) return 'ahead';
    // The same size and not the same tree; or a newer one, which another process of this vault has shown it.
    return reply.size === oldSize ? 'refused' : null;
  }
  return (reply.kind === 'refused' && meanings[reply.status]) || 'away';
};

const show = async (deps: WitnessFollowersDeps, follower: Follower, kept: KeptNote, signal: AbortSignal) => {
  const { witness, name } = follower;
  follower.position ??= (await deps.rows.positions()).find((one) => one.witness === name)?.size ?? 0;
  if (follower.position >= kept.size) return;
  const asked = await askFromItsSize(deps, follower, kept, signal);
  if (asked.reply.kind !== 'cosigned') {
    const trouble = await troubleOf(deps, asked);
    if (signal.aborted) return;
    if (trouble !== null) {
      follower.pausedUntil = deps.now() + (PAUSES[follower.failures] ?? PAUSES.at(-1)!);
      follower.failures = Math.min(follower.failures + 1, PAUSES.length - 1);
    }
    tell(deps, follower, trouble, kept.size);
    return;
  }
  const line = signatureLine(asked.reply.signature);
  await deps.rows.keepCosignature(kept.size, name, line);
  follower.position = kept.size;
  follower.failures = 0;
  tell(deps, follower, null, kept.size);
  await copyCosigned(deps, kept, line, witness.key.id.toString('hex'));
};

const maySee = (deps: WitnessFollowersDeps, { waiting, pausedUntil }: Follower, signal: AbortSignal) =>
  waiting !== null && !signal.aborted && deps.now() >= pausedUntil;

/** Shows what waits until nothing does; what comes meanwhile replaces what waited. */
const work = async (deps: WitnessFollowersDeps, follower: Follower, signal: AbortSignal): Promise<void> => {
  try {
    while (maySee(deps, follower, signal)) {
      const kept = follower.waiting!;
      follower.waiting = null;
      await show(deps, follower, kept, signal);
    }
  } catch (err) {
    // The database is away; the next checkpoint is offered again.
    if (!isAppError(err)) throw err;
    deps.log.warn({ err, what: follower.witness.key.name }, 'A witness could not be shown a checkpoint');
  } finally {
    follower.working = null;
  }
};

export const createWitnessFollowers = (deps: WitnessFollowersDeps): WitnessFollowers => {
  const stop = new AbortController();
  const followers = deps.witnesses.map(
    (witness): Follower => ({
      witness,
      name: witnessName(witness.key),
      position: null,
      waiting: null,
      working: null,
      failures: 0,
      pausedUntil: 0,
      trouble: null,
    }),
  );
  return {
    offer: (kept) => {
      for (const follower of followers) {
        follower.waiting = kept;
        // Not while it is paused: work that ends at once would end before it is known to have begun.
        if (maySee(deps, follower, stop.signal)) follower.working ??= work(deps, follower, stop.signal);
      }
    },
    close: async () => {
      const all = Promise.all(followers.map(({ working }) => working));
      await Promise.race([all, pause(LAST_WORD_MS, undefined, { ref: false })]);
      stop.abort();
      await all;
    },
  };
};
