import type pg from 'pg';

/**
 * Recordings of six years, made in the database: 20 organisations of very different size with 15 care units and a telephone
 * system each. Ids follow from numbers, so that whoever asks knows what there is.
 */
export const UNITS_EACH = 15;
const ORGANISATIONS = 20;

/** The id of the `n`th thing of a kind, in SQL; `n` is an expression. */
const id = (kind: string, n: string): string => `md5('${kind}' || (${n}))::uuid`;
const blind = (kind: string, n: string): string => `substring(sha256(('${kind}' || (${n}))::bytea) FOR 16)`;
/** Between 0 and 1, by number and purpose. */
const share = (n: string, salt: number): string =>
  `((hashint8extended(${n}, ${salt}) & 1048575) / 1048576.0)`;

export const idIn = async (client: pg.ClientBase, kind: string, n: number): Promise<string> =>
  (await client.query<{ id: string }>(`SELECT ${id(kind, '$1::bigint')} AS id`, [n])).rows[0]?.id ?? '';
export const blindIn = async (client: pg.ClientBase, kind: string, n: number): Promise<Buffer> =>
  (await client.query<{ index: Buffer }>(`SELECT ${blind(kind, '$1::bigint')} AS index`, [n])).rows[0]
    ?.index as Buffer;

const places = `
  INSERT INTO organisation (id, name) SELECT ${id('organisation', 'o')}, 'Organisation ' || o FROM generate_series(0, ${ORGANISATIONS - 1}) o;
  INSERT INTO care_unit (id, organisation_id, name)
    SELECT ${id('unit', `o * ${UNITS_EACH} + u`)}, ${id('organisation', 'o')}, 'Unit ' || u
      FROM generate_series(0, ${ORGANISATIONS - 1}) o, generate_series(0, ${UNITS_EACH - 1}) u;
  INSERT INTO source (id, organisation_id, name, client_id, client_secret_hash, api_key_hash, retention_class, legal_basis)
    SELECT ${id('source', 'o')}, ${id('organisation', 'o')}, 'PBX', 'client ' || o, sha256(('s' || o)::bytea),
           sha256(('a' || o)::bytea), 'quality', 'public_task' FROM generate_series(0, ${ORGANISATIONS - 1}) o`;

/**
 * One in thirty is erased, a hundred are uploads that came to nothing, one in a thousand has no care unit. The largest
 * organisation has a third of all. Facts that were never given are null.
 */
const recordings = (count: number): string => `
  INSERT INTO recording (id, organisation_id, unit_id, source_id, status, intent_id, generation, created_at, touched_at,
    call_id_index, caller_index, called_index, agent_index, queue_index, personal_index, name_index, subject, facts_sealed,
    started_at, ended_at, direction, announcement, legal_basis, retention_class, erase_after, media_type, codec,
    sample_rate, channels, duration_ms, peaks_sealed, digest_mac, plain_bytes, sealed_bytes, sealed_sha256, header,
    key_commitment, wrap_provider, wrap_key_id, wrap_version, wrapped_key, stored_at, stored_seq, erased_at, erased_seq)
  SELECT ${id('recording', 'n')}, ${id('organisation', 'o')},
         CASE WHEN n % 1000 <> 7 THEN ${id('unit', `o * ${UNITS_EACH} + u`)} END, ${id('source', 'o')},
         CASE WHEN n <= 100 THEN 'intent' WHEN erased THEN 'erased' ELSE 'stored' END,
         ${id('intent', 'n')}, ${id('generation', 'n')}, started, started,
         ${blind('call', 'n')},
         CASE WHEN kept THEN CASE WHEN n % 10 = 0 THEN ${blind('caller', 'n % 500')} ELSE ${blind('caller', `n % ${Math.ceil(count / 8)}`)} END END,
         CASE WHEN kept THEN ${blind('called', 'o * 20 + n % 20')} END,
         CASE WHEN kept THEN ${blind('agent', `o * 100 + u * 6 + n % 6`)} END,
         CASE WHEN kept THEN ${blind('queue', 'u')} END,
         CASE WHEN kept AND n % 5 = 0 THEN ${blind('personal', `n % ${Math.ceil(count / 20)}`)} END,
         CASE WHEN kept AND n % 2 = 0 THEN ${blind('name', 'n')} END,
         CASE WHEN kept THEN '1:' || md5('patient' || n % ${Math.ceil(count / 8)}) END,
         CASE WHEN kept THEN decode(repeat('5a', 220), 'hex') END,
         started, started + interval '4 minutes',
         CASE WHEN n % 11 = 0 THEN 'outbound' WHEN n % 5003 = 0 THEN 'internal' ELSE 'inbound' END,
         'v1', 'public_task', 'quality', started + interval '10 years', 'audio/wav', 'pcm_s16le', 8000, 1, 228000,
         CASE WHEN kept THEN decode(repeat('5b', 120), 'hex') END,
         CASE WHEN kept THEN sha256('d') END, 3650000, 3660000, sha256('x'), decode(repeat('28', 40), 'hex'), sha256('k'),
         'keyring', 'a', 1, CASE WHEN kept THEN decode(repeat('77', 60), 'hex') END, started, n,
         CASE WHEN erased THEN started END, CASE WHEN erased THEN n END
    FROM (SELECT n, o, floor(${share('n', 2)} ^ 1.5 * ${UNITS_EACH})::int AS u, n % 30 = 3 AND n > 100 AS erased,
                 n % 30 <> 3 OR n <= 100 AS kept, now() - (${count} - n) * (interval '6 years' / ${count}) AS started
            FROM (SELECT n, floor(${share('n', 1)} ^ 3 * ${ORGANISATIONS})::int AS o FROM generate_series(1::bigint, ${count}) n) a) b`;

/**
 * Fills an empty, migrated database as superuser. Indexes are made again after the rows, from their own definitions, which is
 * several times faster than keeping them meanwhile; keys to other tables hold by construction and are not asked for each row.
 */
export const seedRecordings = async (superuser: pg.ClientBase, count: number): Promise<void> => {
  await superuser.query(places);
  const { rows } = await superuser.query<{ name: string; definition: string }>(
    `SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i
      WHERE i.indrelid = 'public.recording'::regclass AND NOT i.indisprimary`,
  );
  await superuser.query('SET session_replication_role = replica');
  for (const { name } of rows) await superuser.query(`DROP INDEX ${name}`);
  await superuser.query(recordings(count));
  await superuser.query("SET session_replication_role = DEFAULT; SET maintenance_work_mem = '512MB'");
  for (const { definition } of rows) await superuser.query(definition);
  await superuser.query('VACUUM (ANALYZE) recording');
  await superuser.query('ANALYZE');
  await superuser.query('CHECKPOINT');
};
