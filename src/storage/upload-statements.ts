import type { Pool } from 'pg';
import { AppError } from '../core/errors.ts';
import type { RecordingModel, RecordingUncheckedCreateInput } from './prisma/models/Recording.ts';
import { tellStored } from './webhook-payload.ts';

/**
 * The statements that every upload makes, prepared once per connection: the mapper would build them anew each time, and
 * uploads come in hundreds.
 */
const columnOf = (property: string): string =>
  property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const INTENT = [
  'id',
  'organisationId',
  'unitId',
  'sourceId',
  'intentId',
  'generation',
  'createdAt',
  'touchedAt',
  'callIdIndex',
  'deliveryIndex',
  'callerIndex',
  'calledIndex',
  'agentIndex',
  'queueIndex',
  'personalIndex',
  'nameIndex',
  'subject',
  'factsSealed',
  'segment',
  'startedAt',
  'endedAt',
  'direction',
  'channelParties',
  'pauses',
  'announcement',
  'legalBasis',
  'retentionClass',
  'eraseAfter',
] as const;
const SEALED = [
  'mediaType',
  'codec',
  'sampleRate',
  'channels',
  'declaredDurationMs',
  'durationMs',
  'flags',
  'peaksSealed',
  'soundPlace',
  'digestMac',
  'plainBytes',
  'sealedBytes',
  'sealedSha256',
  'header',
  'keyCommitment',
  'wrapProvider',
  'wrapKeyId',
  'wrapVersion',
  'wrappedKey',
] as const;

/** What is known before a byte of the audio. */
export type IntentColumns = Pick<RecordingUncheckedCreateInput, (typeof INTENT)[number]> &
  Pick<RecordingModel, 'segment' | 'createdAt' | 'touchedAt'>;
/** Everything the upload brought and the probe found: written in one statement when the object is durable. */
export type SealedColumns = Required<Pick<RecordingModel, (typeof SEALED)[number]>>;

/** A list would be taken for an array of PostgreSQL's; these are JSON. */
const JSON_COLUMNS: ReadonlySet<string> = new Set(['channelParties', 'pauses']);

const insertIntent = {
  name: 'upload-announce',
  text: `INSERT INTO recording (status, ${INTENT.map(columnOf).join(', ')})
         VALUES ('intent', ${INTENT.map((_, n) => `$${n + 1}`).join(', ')})`,
};
/**
 * COMMIT without waiting for the disk, for this one statement. The entry in the access log is committed after it on the same
 * server, and write-ahead log is flushed in order: whoever is told that the entry is durable knows that the seal is.
 */
const UNHURRIED = `(SELECT set_config('synchronous_commit', 'off', true)) AS unhurried`;

const seal = {
  name: 'upload-seal',
  text: `UPDATE recording SET status = 'sealed', touched_at = $2,
                ${SEALED.map((name, n) => `${columnOf(name)} = $${n + 3}`).join(', ')}
           FROM ${UNHURRIED} WHERE id = $1 AND status = 'intent'`,
};
/**
 * Whoever wants to hear of it is told by the same statement: no crash lies between a stored recording and its messages. Answers
 * its flags to the one who made it so.
 */
const store = {
  name: 'upload-store',
  text: `WITH stored AS (
           UPDATE recording SET status = 'stored', stored_seq = $2, stored_at = $3 WHERE id = $1 AND status = 'sealed'
           RETURNING id, organisation_id, source_id, unit_id, started_at, ended_at, duration_ms, flags)
         , told AS (${tellStored('stored', '$3::timestamptz')})
         SELECT flags FROM stored`,
};

const idOfDelivery = {
  name: 'upload-earlier',
  text: `SELECT id FROM recording
          WHERE source_id = $1 AND segment = $3 AND COALESCE(delivery_index, call_id_index) = ANY ($2)
            AND status IN ('sealed', 'stored', 'erasing', 'erased') LIMIT 1`,
};

const UNIQUE_VIOLATION = '23505';

const parameterOf = (name: string, value: unknown): unknown =>
  JSON_COLUMNS.has(name) && value !== undefined && value !== null ? JSON.stringify(value) : (value ?? null);

export const createUploadStatements = (pool: Pick<Pool, 'query'>) => ({
  /** Whether this source has made this delivery and segment before, under any of these keyed indexes. */
  async idOfDelivery(
    sourceId: string,
    deliveries: readonly Buffer[],
    segment: number,
  ): Promise<string | null> {
    const { rows } = await pool.query<{ id: string }>({
      ...idOfDelivery,
      values: [sourceId, deliveries, segment],
    });
    return rows[0]?.id ?? null;
  },

  /** Throws `conflict` when id or generation, which a source that seals by itself chooses, are taken. */
  async insertIntent(columns: IntentColumns): Promise<void> {
    const values = INTENT.map((name) => parameterOf(name, columns[name]));
    try {
      await pool.query({ ...insertIntent, values });
    } catch (error) {
      if ((error as { code?: unknown }).code !== UNIQUE_VIOLATION) throw error;
      throw new AppError(
        'conflict',
        'There is a recording with this id or generation already: choose new ones.',
      );
    }
  },

  /** intent → sealed. `duplicate`: the same call and segment is already here; `gone`: the sweeper gave this upload up. */
  async seal(id: string, at: Date, columns: SealedColumns): Promise<'sealed' | 'duplicate' | 'gone'> {
    const values = [id, at, ...SEALED.map((name) => columns[name])];
    try {
      const { rowCount } = await pool.query({ ...seal, values });
      return rowCount === 1 ? 'sealed' : 'gone';
    } catch (error) {
      if ((error as { code?: unknown }).code === UNIQUE_VIOLATION) return 'duplicate';
      throw error;
    }
  },

  /** sealed → stored, once its entry is in the log. Idempotent: the flags of the recording, or null when it is stored already. */
  async store(id: string, seq: number, at: Date): Promise<readonly string[] | null> {
    const { rows } = await pool.query<{ flags: string[] }>({ ...store, values: [id, seq, at] });
    return rows[0]?.flags ?? null;
  },
});
