import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';

/** Raised by the trial itself when the append went through, so that nothing of it stays. */
const UNDONE = 'CV002';
/** About as long as the entry of a search: what has no room for it has none for what people do. */
const FILLER_BYTES = 700;

/**
 * An append that undoes itself in the same statement: it needs the right, the lock and the room that a real one needs, and
 * leaves no entry. Only constants and randomness of our own stand in the text.
 */
const trial = (): string => {
  const body = `{"v":1,"id":"${randomUUID()}","at":0,"action":"trial","outcome":"failed","detail":{"filler":"${randomBytes(FILLER_BYTES).toString('hex')}"}}`;
  return `DO $trial$ BEGIN
  PERFORM audit.append('trial', 0, ARRAY['\\x${randomBytes(32).toString('hex')}'::bytea], ARRAY['${body}']);
  RAISE EXCEPTION 'a trial is undone' USING ERRCODE = '${UNDONE}';
END $trial$`;
};

/** False when the database refuses it; rejects when there was no answer. */
export const tryAppend = async (pool: Pick<pg.Pool, 'query'>): Promise<boolean> => {
  try {
    await pool.query(trial());
    return false;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    return error.code === UNDONE;
  }
};
