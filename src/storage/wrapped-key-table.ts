import { Prisma, type PrismaClient } from './prisma/client.ts';
import type { RecordingModel } from './prisma/models/Recording.ts';

export type WrappedKeyRow = Pick<
  RecordingModel,
  'id' | 'organisationId' | 'generation' | 'wrapProvider' | 'wrapKeyId' | 'wrapVersion' | 'wrappedKey'
>;

/** A recording has its key from the moment it is sealed until somebody begins to erase it. */
const WITH_KEY = ['sealed', 'stored'];
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';
const COUNTED_AT_ONCE = 10_000;

/** The wrapped data keys of all organisations, read in the order of recording ids and never all at once. */
export const createWrappedKeyTable = (prisma: PrismaClient) => ({
  /** Those behind the recording `after` (null: from the first on), at most `limit`. */
  async page(after: string | null, limit: number): Promise<WrappedKeyRow[]> {
    return prisma.recording.findMany({
      where: { id: { gt: after ?? BEFORE_ALL }, status: { in: WITH_KEY } },
      orderBy: { id: 'asc' },
      take: limit,
      select: {
        id: true,
        organisationId: true,
        generation: true,
        wrapProvider: true,
        wrapKeyId: true,
        wrapVersion: true,
        wrappedKey: true,
      },
    });
  },

  /** How many there are. Counted in parts: one statement over millions of rows would run into the time limit of statements. */
  async count(): Promise<number> {
    let total = 0;
    for (let after: string | null = BEFORE_ALL; after !== null; ) {
      const [part]: { count: number; last: string | null }[] = await prisma.$queryRaw`
        SELECT count(*)::int AS count, max(id::text) AS last FROM (
          SELECT id FROM recording WHERE id > ${after}::uuid AND status IN (${Prisma.join(WITH_KEY)})
          ORDER BY id LIMIT ${COUNTED_AT_ONCE}) AS part`;
      total += part?.count ?? 0;
      after = part?.last ?? null;
    }
    return total;
  },
});

export type WrappedKeyTable = ReturnType<typeof createWrappedKeyTable>;
