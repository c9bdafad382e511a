import type pg from 'pg';
import type { Stray } from '../core/audit/log-rows.ts';
import { isDamage } from './append-failure.ts';

type Client = Pick<pg.ClientBase, 'query'>;

/** Runs of rows that cannot be read and are told one by one; what comes behind them is told as it was asked for. */
const NAMED = 64;

/**
 * Reads what can be read of a log whose files may be damaged or edited: a page that the database refuses is read in ever
 * smaller parts, down to the row. Call within a transaction; what fails leaves it as it was.
 */
export const createReadableRows = (client: Client) => {
  const unreadable: Stray[] = [];

  /** Null for what the server says is damaged; rejects with everything else. */
  const attempt = async <T>(read: () => Promise<T>): Promise<T | null> => {
    await client.query('SAVEPOINT readable');
    try {
      return await read();
    } catch (error) {
      if (!isDamage(error)) throw error;
      await client.query('ROLLBACK TO readable');
      return null;
    } finally {
      await client.query('RELEASE readable').catch(() => undefined);
    }
  };

  const range = async <T>(
    table: string,
    [from, to]: readonly [number, number],
    read: (from: number, to: number) => Promise<readonly T[]>,
  ): Promise<readonly T[]> => {
    const rows = await attempt(() => read(from, to));
    if (rows !== null) return rows;
    if (to - from <= 1 || unreadable.length >= NAMED) {
      unreadable.push({ table, seq: from, unreadable: true });
      return [];
    }
    const middle = Math.floor((from + to) / 2);
    const first = await range(table, [from, middle], read);
    return [...first, ...(await range(table, [middle, to], read))];
  };

  return {
    /** Rows of [from, to) in their order, without those that cannot be read. */
    range,
    /** What has no place to be read from; `otherwise` when it cannot be read. */
    whole: async <T>(what: string, read: () => Promise<T>, otherwise: T): Promise<T> => {
      const found = await attempt(read);
      if (found === null) unreadable.push({ table: what, seq: null, unreadable: true });
      return found ?? otherwise;
    },
    /** What could not be read so far. */
    unreadable: (): readonly Stray[] => unreadable,
  };
};
