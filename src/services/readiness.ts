import { AppError } from '../core/errors.ts';

export type Check = {
  readonly name: string;
  /** Rejects with the fault, or resolves to a word for it; to anything else when all is in order. */
  readonly run: () => Promise<unknown>;
  /** For the operator alone: the vault does its work all the same. */
  readonly advisory?: true;
};
export type Finding = { readonly name: string; readonly fault: string | null; readonly advisory?: true };

/** A finding is believed this long, so that a stranger's polling costs nothing. */
const FRESH_MS = 5_000;

/** Bytes free where objects and database lie; null where nobody can say (S3, a database elsewhere). */
export type Room = { readonly freeBytes: () => Promise<number | null>; readonly floorBytes: number };

/** Whether the vault can do its work now: database, log, object store, keys, room. */
export const createReadiness = ({
  checks,
  rooms,
  now,
  tell,
}: {
  readonly checks: readonly Check[];
  readonly rooms: readonly Room[];
  readonly now: () => number;
  /** Called when the findings change, for the operator's log. */
  readonly tell: (ready: boolean, findings: readonly Finding[]) => void;
}) => {
  let believed: { at: number; answer: Promise<{ ready: boolean; findings: readonly Finding[] }> } | null =
    null;
  let told: string | null = null;
  let room: { at: number; full: Promise<boolean> } | null = null;

  const isFull = async (): Promise<boolean> => {
    const free = await Promise.all(
      rooms.map(async ({ freeBytes, floorBytes }) => ({ free: await freeBytes(), floorBytes })),
    );
    return free.some((measured) => measured.free !== null && measured.free < measured.floorBytes);
  };

  const full = (): Promise<boolean> => {
    if (room === null || now() - room.at > FRESH_MS) room = { at: now(), full: isFull() };
    return room.full;
  };

  const judge = async () => {
    const all: readonly Check[] = [
      ...checks,
      {
        name: 'room',
        run: async () => {
          if (await full()) throw new AppError('storage_full', 'free space is below the floor');
        },
      },
    ];
    const findings = await Promise.all(
      all.map(async ({ name, run, advisory }): Promise<Finding> => {
        const own = advisory === undefined ? { name } : { name, advisory };
        try {
          const said = await run();
          return { ...own, fault: typeof said === 'string' ? said : null };
        } catch (error) {
          return { ...own, fault: error instanceof AppError ? error.code : 'internal' };
        }
      }),
    );
    const ready = findings.every(({ fault, advisory }) => fault === null || advisory === true);
    const summary = JSON.stringify(findings);
    if (summary !== told) tell(ready, findings);
    told = summary;
    return { ready, findings };
  };

  return {
    current() {
      if (believed === null || now() - believed.at > FRESH_MS) believed = { at: now(), answer: judge() };
      return believed.answer;
    },
    /** Uploads stop first, while there is room to log playback. */
    async assertRoom(): Promise<void> {
      if (await full()) throw new AppError('storage_full', 'free space is below the floor');
    },
  };
};

export type Readiness = ReturnType<typeof createReadiness>;
