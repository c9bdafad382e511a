import type { Pool } from 'pg';

/** Times in milliseconds are the application's; bytes are counted in safe integers, as lengths of recordings are. */
export type UploadRow = {
  readonly id: string;
  readonly organisationId: string;
  readonly sourceId: string;
  readonly length: number;
  readonly received: number;
  readonly factsSealed: Buffer | null;
  readonly recordingId: string | null;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly claimedUntil: Date | null;
};

export type NewUpload = Pick<
  UploadRow,
  'id' | 'organisationId' | 'sourceId' | 'length' | 'createdAt' | 'expiresAt'
> & { readonly factsSealed: Buffer };

/** Columns of a part's key, as in `recording`. */
export type PartColumns = {
  readonly bytes: number;
  readonly header: Uint8Array;
  readonly wrapProvider: string;
  readonly wrapKeyId: string;
  readonly wrapVersion: number;
  readonly wrappedKey: Uint8Array;
};
export type PartRow = { readonly generation: string; readonly start: number } & (
  | PartColumns
  | { readonly [column in keyof PartColumns]: null }
);

export type StaleUpload = UploadRow & {
  /** Whether its source may still add recordings. */
  readonly welcome: boolean;
};

const UPLOAD = `u.id::text, u.organisation_id::text AS "organisationId", u.source_id::text AS "sourceId",
  u.length::float8, u.received::float8, u.facts_sealed AS "factsSealed", u.recording_id::text AS "recordingId",
  u.created_at AS "createdAt", u.expires_at AS "expiresAt", u.claimed_until AS "claimedUntil"`;

const PART = `generation::text, start::float8, bytes::float8, header, wrap_provider AS "wrapProvider",
  wrap_key_id AS "wrapKeyId", wrap_version AS "wrapVersion", wrapped_key AS "wrappedKey"`;

const UNDER_WAY = 'recording_id IS NULL AND expires_at > $2';

type Queries = Pick<Pool, 'query' | 'connect'>;

const opening = (pool: Queries) => ({
  /** False: the source has `most` under way at this time already. */
  async open(upload: NewUpload, most: number): Promise<boolean> {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      // Whoever else opens one for this source waits, and counts this one.
      await client.query('SELECT FROM source WHERE id = $1 FOR UPDATE', [upload.sourceId]);
      const { rowCount } = await client.query(
        `INSERT INTO resumable_upload (id, source_id, organisation_id, length, facts_sealed, created_at, expires_at)
         SELECT $3, $1, $4, $5, $6, $2, $7
          WHERE (SELECT count(*) FROM resumable_upload WHERE source_id = $1 AND ${UNDER_WAY}) < $8`,
        [
          upload.sourceId,
          upload.createdAt,
          upload.id,
          upload.organisationId,
          upload.length,
          upload.factsSealed,
          upload.expiresAt,
          most,
        ],
      );
      await client.query('COMMIT');
      return rowCount === 1;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  },

  async find(id: string): Promise<UploadRow | null> {
    const text = `SELECT ${UPLOAD} FROM resumable_upload u WHERE id = $1`;
    return (await pool.query<UploadRow>({ name: 'resumable-find', text, values: [id] })).rows[0] ?? null;
  },

  /** Past their time, complete but not a recording yet, or a recording whose parts are still there; nobody works on them. */
  async stale(at: Date): Promise<StaleUpload[]> {
    const { rows } = await pool.query<StaleUpload>(
      `SELECT ${UPLOAD}, s.disabled_at IS NULL AND o.disabled_at IS NULL AS welcome
         FROM resumable_upload u JOIN source s ON s.id = u.source_id JOIN organisation o ON o.id = u.organisation_id
        WHERE (u.claimed_until IS NULL OR u.claimed_until <= $1)
          AND (u.expires_at <= $1 OR u.recording_id IS NULL AND u.received = u.length
               OR u.recording_id IS NOT NULL AND EXISTS (SELECT FROM upload_part p WHERE p.upload_id = u.id))
        ORDER BY u.expires_at LIMIT 500`,
      [at],
    );
    return rows;
  },
});

/** Only one at a time works on an upload: what a claim no longer holds, it no longer changes. */
const claiming = (pool: Queries) => ({
  /** The upload as it is now, for whoever claims it; null when somebody else has it, or it is gone. */
  async claim(id: string, claim: string, at: Date, until: Date): Promise<UploadRow | null> {
    const { rows } = await pool.query<UploadRow>({
      name: 'resumable-claim',
      text: `UPDATE resumable_upload u SET claim = $2, claimed_until = $4
              WHERE id = $1 AND (claimed_until IS NULL OR claimed_until <= $3) RETURNING ${UPLOAD}`,
      values: [id, claim, at, until],
    });
    return rows[0] ?? null;
  },

  async extendClaim(id: string, claim: string, until: Date): Promise<void> {
    await pool.query('UPDATE resumable_upload SET claimed_until = $3 WHERE id = $1 AND claim = $2', [
      id,
      claim,
      until,
    ]);
  },

  async release(id: string, claim: string): Promise<void> {
    const text =
      'UPDATE resumable_upload SET claim = NULL, claimed_until = NULL WHERE id = $1 AND claim = $2';
    await pool.query({ name: 'resumable-release', text, values: [id, claim] });
  },

  /** At the start of the only process there is: whoever had claimed anything is dead. */
  async releaseAll(): Promise<void> {
    await pool.query(
      'UPDATE resumable_upload SET claim = NULL, claimed_until = NULL WHERE claim IS NOT NULL',
    );
  },

  /** Acknowledges the bytes from `from` to `to`. False: the claim was lost. */
  async advance(
    id: string,
    claim: string,
    { from, to, expiresAt }: { readonly from: number; readonly to: number; readonly expiresAt: Date },
  ): Promise<boolean> {
    const { rowCount } = await pool.query({
      name: 'resumable-advance',
      text: `UPDATE resumable_upload SET received = $4, expires_at = $5
              WHERE id = $1 AND claim = $2 AND received = $3 AND recording_id IS NULL`,
      values: [id, claim, from, to, expiresAt],
    });
    return rowCount === 1;
  },

  /** It is a recording. Idempotent; whoever finds that out may say so. */
  async finish(id: string, recordingId: string, expiresAt: Date): Promise<void> {
    await pool.query(
      `UPDATE resumable_upload SET recording_id = $2, facts_sealed = NULL, expires_at = $3
        WHERE id = $1 AND recording_id IS NULL`,
      [id, recordingId, expiresAt],
    );
  },

  /** Forgets an upload that has no parts any more. */
  async remove(id: string): Promise<void> {
    await pool.query('DELETE FROM resumable_upload WHERE id = $1', [id]);
  },
});

const keepingParts = (pool: Queries) => ({
  /** Before its object is written. Throws when the upload is gone or there is a part from there on. */
  async announcePart(uploadId: string, generation: string, start: number): Promise<void> {
    const text = 'INSERT INTO upload_part (upload_id, generation, start) VALUES ($1, $2, $3)';
    await pool.query({ name: 'part-announce', text, values: [uploadId, generation, start] });
  },

  /** The object is durable. False: the part was given up in the meantime. */
  async keepPart(generation: string, columns: PartColumns): Promise<boolean> {
    const { bytes, header, wrapProvider, wrapKeyId, wrapVersion, wrappedKey } = columns;
    const { rowCount } = await pool.query({
      name: 'part-keep',
      text: `UPDATE upload_part SET bytes = $2, header = $3, wrap_provider = $4, wrap_key_id = $5, wrap_version = $6,
                    wrapped_key = $7 WHERE generation = $1 AND bytes IS NULL`,
      values: [generation, bytes, header, wrapProvider, wrapKeyId, wrapVersion, wrappedKey],
    });
    return rowCount === 1;
  },

  /** In their order. */
  async parts(uploadId: string): Promise<PartRow[]> {
    const text = `SELECT ${PART} FROM upload_part WHERE upload_id = $1 ORDER BY start`;
    return (await pool.query<PartRow>({ name: 'part-list', text, values: [uploadId] })).rows;
  },

  /** Its wrapped key is gone with it. */
  async removePart(generation: string): Promise<void> {
    await pool.query('DELETE FROM upload_part WHERE generation = $1', [generation]);
  },
});

/** Recordings that come in parts, and their parts. */
export const createResumableUploadTable = (pool: Queries) => ({
  ...opening(pool),
  ...claiming(pool),
  ...keepingParts(pool),
});

export type ResumableUploadTable = ReturnType<typeof createResumableUploadTable>;
