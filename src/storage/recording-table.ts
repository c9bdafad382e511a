import { uuidBytes } from '../core/ids.ts';
import type { Database } from './database.ts';
import { Prisma } from './prisma/client.ts';
import type { RecordingModel } from './prisma/models/Recording.ts';
import { createUnclaimedObjects } from './unclaimed-objects.ts';
import { createUploadStatements } from './upload-statements.ts';

/** A row as stored. Byte counts are bigint there; {@link envelopeColumns} in services turns them into numbers. */
export type RecordingRow = RecordingModel;

/** Blind indexes that can be searched, by the column that holds them. */
export const indexColumns = {
  callId: 'call_id_index',
  caller: 'caller_index',
  called: 'called_index',
  agent: 'agent_index',
  queue: 'queue_index',
  personal: 'personal_index',
  name: 'name_index',
} as const;
export type IndexName = keyof typeof indexColumns;

export type SearchCriteria = {
  readonly organisation: string;
  readonly units: readonly string[];
  readonly from: Date | null;
  /** Exclusive. */
  readonly to: Date | null;
  readonly direction: string | null;
  /** Every named index must hold one of its values (one per live key version). */
  readonly indexes: readonly { readonly name: IndexName; readonly values: readonly Buffer[] }[];
  readonly after: { readonly startedAt: Date; readonly id: string } | null;
  readonly limit: number;
};

export type FoundRecording = Pick<
  RecordingModel,
  | 'id'
  | 'organisationId'
  | 'unitId'
  | 'sourceId'
  | 'startedAt'
  | 'endedAt'
  | 'direction'
  | 'segment'
  | 'durationMs'
  | 'mediaType'
  | 'channels'
  | 'flags'
  | 'factsSealed'
  | 'retentionClass'
  | 'holdCount'
>;

/** The keyed ids of call and delivery stay: by them a second delivery of an erased call is known, and refused. */
const nothing = {
  callerIndex: null,
  calledIndex: null,
  agentIndex: null,
  queueIndex: null,
  personalIndex: null,
  nameIndex: null,
  subject: null,
  factsSealed: null,
  peaksSealed: null,
  digestMac: null,
  wrappedKey: null,
  channelParties: Prisma.DbNull,
  pauses: Prisma.DbNull,
};

/** Recordings and the uploads that may become one. */
export const createRecordingTable = ({ prisma, pool }: Pick<Database, 'prisma' | 'pool'>) => {
  const { recording } = prisma;
  const statements = createUploadStatements(pool);
  return {
    ...statements,
    ...createUnclaimedObjects(prisma),

    /** Tells when somebody last worked on this upload. False: it has been given up in the meantime, or is stored. */
    async touch(id: string, at: Date): Promise<boolean> {
      const { count } = await recording.updateMany({
        where: { id, status: { in: ['intent', 'sealed'] } },
        data: { touchedAt: at },
      });
      return count === 1;
    },

    /** Forgets an upload that came to nothing; never touches a stored recording. */
    async removeIntent(id: string): Promise<void> {
      await recording.deleteMany({ where: { id, status: { in: ['intent', 'sealed'] } } });
    },

    /** The recording already made of this delivery and segment by this source, or its tombstone, under any live version of the index key. */
    async findByDelivery(
      sourceId: string,
      deliveries: readonly Buffer[],
      segment: number,
    ): Promise<RecordingRow | null> {
      const id = await statements.idOfDelivery(sourceId, deliveries, segment);
      return id === null ? null : recording.findUnique({ where: { id } });
    },

    async find(id: string): Promise<RecordingRow | null> {
      return recording.findUnique({ where: { id } });
    },

    /** Uploads nobody has touched since `before`, oldest first. */
    async staleIntents(before: Date): Promise<RecordingRow[]> {
      return recording.findMany({
        where: { status: { in: ['intent', 'sealed'] }, touchedAt: { lte: before } },
        orderBy: { touchedAt: 'asc' },
        take: 500,
      });
    },

    async search(criteria: SearchCriteria): Promise<FoundRecording[]> {
      if (criteria.units.length === 0) return [];
      return prisma.$queryRaw<FoundRecording[]>(searchStatement(criteria));
    },

    /** stored → erasing, unless it is held. From now on nobody finds, plays or holds it. */
    async claimErasure(id: string): Promise<'claimed' | 'held' | 'gone'> {
      const { count } = await recording.updateMany({
        where: { id, status: 'stored', holdCount: 0 },
        data: { status: 'erasing' },
      });
      if (count === 1) return 'claimed';
      const row = await recording.findUnique({ where: { id }, select: { status: true } });
      return row?.status === 'stored' ? 'held' : 'gone';
    },

    async releaseErasure(id: string): Promise<void> {
      await recording.updateMany({ where: { id, status: 'erasing' }, data: { status: 'stored' } });
    },

    /**
     * Destroys the wrapped key, every sealed fact and every index of a person; what is left says that there was a call, when,
     * and under which call id it would come again.
     */
    async erase(id: string, seq: number, at: Date): Promise<void> {
      await recording.updateMany({
        where: { id, status: 'erasing' },
        data: { ...nothing, status: 'erased', erasedSeq: BigInt(seq), erasedAt: at },
      });
    },
  };
};

export type RecordingTable = ReturnType<typeof createRecordingTable>;

const columns = Prisma.raw(
  `r.id::text AS "id", r.organisation_id::text AS "organisationId", r.unit_id::text AS "unitId",
   r.source_id::text AS "sourceId", r.started_at AS "startedAt", r.ended_at AS "endedAt", r.direction, r.segment,
   r.duration_ms AS "durationMs", r.media_type AS "mediaType", r.channels, r.flags, r.facts_sealed AS "factsSealed",
   r.retention_class AS "retentionClass", r.hold_count AS "holdCount"`,
);

type Index = SearchCriteria['indexes'][number];

/** What names the fewest recordings comes first. */
const narrowest: readonly IndexName[] = ['callId', 'name', 'personal', 'caller', 'called', 'agent', 'queue'];

const column = (name: IndexName): Prisma.Sql => Prisma.raw(`r.${indexColumns[name]}`);
const listOf = (values: readonly Buffer[]): Prisma.Sql =>
  Prisma.join(values.map((value) => new Uint8Array(value)));

/**
 * Holds for most rows that are looked at, because what they are found by implies it or nearly so. Planners cannot know, and
 * would read and sort all there is of a care unit; of a CASE they expect every other row to be so.
 */
const often = (condition: Prisma.Sql): Prisma.Sql => Prisma.sql`CASE WHEN ${condition} THEN true END`;

/** What a row must be besides what it is found by. */
const conditions = (criteria: SearchCriteria, others: readonly Index[]): Prisma.Sql => {
  const { from, to, after } = criteria;
  const parts = [
    Prisma.sql`r.status = 'stored'`,
    often(Prisma.sql`r.organisation_id = ${criteria.organisation}::uuid`),
  ];
  if (from !== null) parts.push(Prisma.sql`r.started_at >= ${from}`);
  if (to !== null) parts.push(Prisma.sql`r.started_at < ${to}`);
  if (after !== null) parts.push(Prisma.sql`(r.started_at, r.id) < (${after.startedAt}, ${after.id}::uuid)`);
  for (const { name, values } of others)
    parts.push(often(Prisma.sql`${column(name)} IN (${listOf(values)})`));
  return Prisma.join(parts, ' AND ');
};

/** The newest for each of these keys, each along an index in which they stand in order, merged. */
const newestOfEach = (keys: Prisma.Sql, found: Prisma.Sql, limit: number): Prisma.Sql => {
  const newest = (place: Prisma.Sql) => Prisma.sql`ORDER BY ${place} LIMIT ${limit}`;
  return Prisma.sql`SELECT r.* FROM unnest(ARRAY[${keys}]) AS k(key) CROSS JOIN LATERAL (
      SELECT ${columns} FROM recording r WHERE ${found} ${newest(Prisma.sql`r.started_at DESC, r.id DESC`)}) r
    ${newest(Prisma.sql`r."startedAt" DESC, r.id DESC`)}`;
};

/** A care unit together with the value of a blind index, as the database keeps them in one index. */
const keysIn = (units: readonly string[], { values }: Index): readonly Buffer[] =>
  units.flatMap((unit) => values.map((value) => Buffer.concat([uuidBytes(unit), value])));

/**
 * Newest first, from each care unit of its own: a small unit of a large organisation is found without reading the others'
 * calls, and so is a caller or a queue in it.
 */
const searchStatement = (criteria: SearchCriteria): Prisma.Sql => {
  const { units, direction, indexes, limit } = criteria;
  const [first, ...others] = indexes.toSorted(
    (a, b) => narrowest.indexOf(a.name) - narrowest.indexOf(b.name),
  );
  const where = conditions(criteria, others);
  if (first === undefined) {
    const keys = Prisma.join(units.map((unit) => Prisma.sql`${unit}::uuid`));
    const one = direction === null ? Prisma.empty : Prisma.sql`AND r.direction = ${direction}`;
    return newestOfEach(keys, Prisma.sql`r.unit_id = k.key AND ${where} ${one}`, limit);
  }
  const searched = column(first.name);
  const keys = Prisma.join(keysIn(units, first).map((key) => Prisma.sql`${new Uint8Array(key)}::bytea`));
  const found = Prisma.sql`(uuid_send(r.unit_id) || ${searched}) = k.key AND ${searched} IS NOT NULL AND ${where}`;
  const one =
    direction === null ? Prisma.empty : Prisma.sql`AND ${often(Prisma.sql`r.direction = ${direction}`)}`;
  return newestOfEach(keys, Prisma.sql`${found} ${one}`, limit);
};
