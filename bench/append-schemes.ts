import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { createAuditWriter } from '../src/audit/writer.ts';
import { encodeEvent } from '../src/core/audit/entry.ts';
import { factsOf } from '../src/core/audit/facts.ts';
import type { PostgresSettings } from '../src/core/postgres-settings.ts';
import { freshEvent } from '../test/support/audit-events.ts';

/** One way to append, ready; `end` closes its connections. */
export type Scheme = { readonly append: () => Promise<unknown>; readonly end: () => Promise<unknown> };
export type OpenScheme = (postgres: PostgresSettings) => Promise<Scheme>;

const CHAIN_POOL = 20;
const WARM = 50;

const COLUMNS =
  'event_id, at, action, outcome, actor, organisation, unit, recording, subject, purpose, session';
const PLACES = Array.from({ length: 11 }, (_, i) => `$${i + 1}`).join(', ');

/** A table with the log's search columns and indexes, for the schemes that it is compared with. */
export const table = (name: string): string => `
  CREATE TABLE ${name} (id bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, at bigint NOT NULL, action text NOT NULL,
    outcome text NOT NULL, actor text, organisation uuid, unit uuid, recording uuid, subject text, purpose text, session uuid,
    body text NOT NULL, hash bytea);
  CREATE INDEX ON ${name} (organisation, at, id, action, purpose);
  CREATE INDEX ON ${name} (actor, at, id);
  CREATE INDEX ON ${name} (recording, at, id);
  CREATE INDEX ON ${name} (subject, at, id);
  CREATE INDEX ON ${name} (unit, at, id) WHERE unit IS NOT NULL;
  CREATE INDEX ON ${name} (action, organisation, at, id) WHERE action NOT IN (
    'recording.stored', 'recording.viewed', 'recordings.searched', 'playback.opened', 'playback.heard');
  CREATE INDEX ON ${name} (outcome, organisation, at, id, unit, actor) WHERE outcome <> 'success';
  CREATE INDEX ON ${name} (purpose, organisation, at, id) WHERE purpose <> 'care';
  CREATE INDEX ON ${name} (at, id) WHERE organisation IS NULL OR action IN (
    'installation.created', 'session.refused', 'organisation.changed', 'key.rotated', 'log.verified',
    'keys.exported', 'log.pruned', 'log.epoch_opened');
  GRANT SELECT, INSERT ON ${name} TO callvault;
  GRANT USAGE ON SEQUENCE ${name}_id_seq TO callvault`;

const rowOf = (): readonly unknown[] => {
  const { event, body } = encodeEvent(freshEvent());
  return [...Object.values(factsOf(event)), body];
};

export const plain: OpenScheme = async (postgres) => {
  const client = new pg.Client(postgres);
  await client.connect();
  const text = `INSERT INTO public.plain (${COLUMNS}, body) VALUES (${PLACES}, $12)`;
  return {
    append: () => client.query({ name: 'plain', text, values: [...rowOf()] }),
    end: () => client.end(),
  };
};

export const chain: OpenScheme = async (postgres) => {
  const pool = new pg.Pool({ ...postgres, max: CHAIN_POOL });
  const text = `INSERT INTO public.chain (${COLUMNS}, body, hash) VALUES (${PLACES}, $12, $13)`;
  const append = async (): Promise<void> => {
    const row = rowOf();
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await client.query({ name: 'lock', text: 'SELECT pg_advisory_xact_lock(1)' });
      const last = await client.query({
        name: 'last',
        text: 'SELECT hash FROM public.chain ORDER BY id DESC LIMIT 1',
      });
      const hash = createHash('sha256')
        .update(last.rows[0]?.hash ?? '')
        .update(String(row.at(-1)))
        .digest();
      await client.query({ name: 'link', text, values: [...row, hash] });
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  };
  return { append, end: () => pool.end() };
};

export const log: OpenScheme = async (postgres) => {
  const silent = { info() {}, warn() {}, error() {} };
  const writer = createAuditWriter({ postgres, writer: `bench-${process.pid}`, randomBytes, log: silent });
  return { append: () => writer.append(freshEvent()), end: () => writer.close() };
};

/** Milliseconds of each append, by when the round that began at `start` ended. */
export type Round = { readonly times: readonly number[]; readonly elapsed: number };

/** Opens a scheme and warms it up; then `lanes` appends at once, one after the other in each lane, for `roundMs`. */
export const prepareRound = async (open: OpenScheme, postgres: PostgresSettings, lanes: number) => {
  const scheme = await open(postgres);
  for (let warm = 0; warm < WARM; warm += 1) await scheme.append();
  return async (roundMs: number): Promise<Round> => {
    const times: number[] = [];
    const start = performance.now();
    const lane = async (): Promise<void> => {
      for (let before = performance.now(); before - start < roundMs; ) {
        await scheme.append();
        const after = performance.now();
        times.push(after - before);
        before = after;
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    const elapsed = performance.now() - start;
    await scheme.end();
    return { times, elapsed };
  };
};
