import pg from 'pg';
import { commitmentOf } from '../core/audit/commitment.ts';
import { decodeBody } from '../core/audit/entry.ts';
import { emptyRange, rootOf } from '../core/audit/merkle.ts';
import { AppError, isAppError } from '../core/errors.ts';
import type { AuditAction, AuditEvent, Outcome, Purpose } from '../core/events.ts';
import { isUuid } from '../core/ids.ts';
import type { PostgresSettings } from '../core/postgres-settings.ts';
import { logUnavailable } from './append-failure.ts';
import type { AuditLogger } from './audit-logger.ts';
import { createDamaged, type Damaged } from './damaged-entry.ts';
import { type HeardColumns, type HearingSearch, hearingsStatement, MAX_STATEMENTS } from './hearings.ts';
import { openLogPool } from './log-pool.ts';
import { mintReceipt } from './mint.ts';
import type { Receipt } from './receipt.ts';
import {
  countStatement,
  findStatement,
  formatCursor,
  pageLimit,
  readStatement,
  type Statement,
  searchStatement,
  tallyStatement,
} from './search.ts';
import { tryAppend } from './trial-append.ts';

/** Size and RFC 6962 root (hex) of the log. */
export type AuditHead = { readonly size: number; readonly root: string };

/**
 * Who reads. An organisation's compliance officer sees the organisation-scoped actions that name her organisation; the
 * installation's auditor sees installation-scoped actions and entries of no organisation.
 */
export type Audience =
  | { readonly scope: 'organisation'; readonly organisation: string }
  | { readonly scope: 'installation' };

export type LogEntry = { readonly seq: number; readonly event: AuditEvent };

export type LogSearch = {
  readonly audience: Audience;
  readonly actor?: string;
  readonly recording?: string;
  readonly subject?: string;
  /** Any of these: the keys of one patient under several versions of the index key. None finds nothing. */
  readonly subjects?: readonly string[];
  readonly action?: AuditAction;
  /** Any of these. None finds nothing. */
  readonly actions?: readonly AuditAction[];
  readonly outcome?: Outcome;
  readonly unit?: string;
  readonly purpose?: Purpose;
  readonly session?: string;
  /** Milliseconds since 1970, inclusive. */
  readonly from?: number;
  /** Milliseconds since 1970, exclusive. */
  readonly to?: number;
  /** Only entries from this place on. */
  readonly start?: number;
  /** Only entries that the log had when it was this long, so that what is added meanwhile changes no answer. */
  readonly size?: number;
  /** `next` of the page before. Attacker-controlled; `invalid_request` when it is not one of ours. */
  readonly cursor?: string;
  /** 1 to 200; 50 when absent. */
  readonly limit?: number;
};

export type LogPage = { readonly entries: readonly LogEntry[]; readonly next: string | null };

/** What the player of a playback stated was heard. */
export type Heard = {
  /** How many times it stated something. */
  readonly statements: number;
  /** Merged, in order, [from, to] in milliseconds of the recording; the first thousand. */
  readonly parts: readonly (readonly [number, number])[];
  /** How many parts there are. */
  readonly partCount: number;
};

/** An entry about hearing a recording; `heard` is null where no player stated anything. */
export type HearingEntry = LogEntry & { readonly heard: Heard | null };

export type HearingPage = {
  readonly entries: readonly HearingEntry[];
  readonly next: string | null;
  /** False: there were more statements of players than one answer looks at, so `heard` may lack some. */
  readonly heardComplete: boolean;
};

/** How many entries, and the lowest and highest place among them. */
export type LogExtent = {
  readonly count: number;
  readonly first: number | null;
  readonly last: number | null;
};

export type Tally = {
  readonly action: AuditAction;
  readonly outcome: Outcome;
  readonly count: number;
};

/** Reads on connections of its own, so reading never delays an append. Every failure of the database is `log_unavailable`. */
export type AuditReader = {
  /** Newest first, by time and then by place in the log. */
  readonly search: (query: LogSearch) => Promise<LogPage>;
  /** A page of who opened one recording, was refused it, or took it out, newest first, with what was heard. One statement. */
  readonly hearings: (query: HearingSearch) => Promise<HearingPage>;
  /** The entries of a search, counted up to `most`. */
  readonly count: (query: LogSearch, most: number) => Promise<LogExtent>;
  /** How often each action came to each outcome, among the newest `most` entries of a search. */
  readonly tally: (query: LogSearch, most: number) => Promise<readonly Tally[]>;
  /** Null when there is no such entry or it is not this audience's: the two look alike. */
  readonly read: (seq: number, audience: Audience) => Promise<LogEntry | null>;
  /** The committed entry of this event, or null when the log has none. For reconciliation after a crash. */
  readonly find: (eventId: string) => Promise<LogEntry | null>;
  /** A receipt for an entry committed earlier, read back and checked; null when the log has none. */
  readonly receiptOf: (eventId: string) => Promise<Receipt | null>;
  /** The newest head as the database states it. */
  readonly head: () => Promise<AuditHead>;
  /** Whether this role may append at all; writes nothing. */
  readonly mayAppend: () => Promise<boolean>;
  /** Whether an entry could be written now, down to the room for it; leaves none behind. */
  readonly tryAppend: () => Promise<boolean>;
  /** Safe to call twice. */
  readonly close: () => Promise<void>;
};

export type AuditReaderOptions = { readonly postgres: PostgresSettings; readonly log: AuditLogger };

/** Reading is for people; a few connections serve them. */
const CONNECTIONS = 3;
const STATEMENT_MS = 10_000;

type EntryRow = {
  readonly seq: string;
  readonly salt: Buffer;
  readonly body: string;
  readonly commitment: Buffer;
};

/** Throws `integrity_failure` for an entry that is not what the log committed to: whoever reads must not be shown it. */
const entryOf = (row: EntryRow, damaged: Damaged): LogEntry => {
  const seq = Number(row.seq);
  if (row.salt.length !== 32 || !commitmentOf(row.salt, row.body).equals(row.commitment)) throw damaged(seq);
  try {
    return { seq, event: decodeBody(row.body) };
  } catch (cause) {
    if (!isAppError(cause, 'integrity_failure')) throw cause;
    throw damaged(seq, cause);
  }
};

type ExtentRow = { readonly count: number; readonly first: string | null; readonly last: string | null };

const placeOf = (seq: string | null): number | null => (seq === null ? null : Number(seq));

/** The rows of a page, one more of which tells that there is another. */
const pageOf = <T extends LogEntry>(
  found: readonly T[],
  limit: number,
): { readonly entries: readonly T[]; readonly next: string | null } => {
  const entries = found.slice(0, limit);
  const last = entries.at(-1);
  const more = found.length > entries.length && last !== undefined;
  return { entries, next: more ? formatCursor({ at: last.event.at, seq: last.seq }) : null };
};

type HeadRow = { readonly size: string; readonly root: Buffer };

const headOf = (head: HeadRow | undefined): AuditHead =>
  head === undefined
    ? { size: 0, root: rootOf(emptyRange).toString('hex') }
    : { size: Number(head.size), root: head.root.toString('hex') };

const hearingOf = (row: EntryRow & HeardColumns, damaged: Damaged): HearingEntry => {
  const { statements, parts, part_count: partCount } = row;
  const heard = statements === null ? null : { statements, parts: parts ?? [], partCount: partCount ?? 0 };
  return { ...entryOf(row, damaged), heard };
};

/**
 * Rejects with `integrity_failure` where a statement of a player is altered, or the entry of its playback was taken out; not where
 * that was removed because its time was out, as the log itself tells.
 */
const createStatedCheck = (search: (query: LogSearch) => Promise<readonly LogEntry[]>, damaged: Damaged) => {
  const removedUpTo = async (): Promise<number> => {
    const told = { action: 'log.pruned', outcome: 'success', limit: 1 } as const;
    const [newest] = await search({ ...told, audience: { scope: 'installation' } });
    return newest?.event.action === 'log.pruned' ? newest.event.detail.to : 0;
  };
  return async (row: HeardColumns | undefined): Promise<void> => {
    if (row === undefined) return;
    if (row.altered !== null) throw damaged(Number(row.altered));
    if (row.missing === null) return;
    const place = Number(row.missing);
    if (place >= (await removedUpTo())) throw damaged(place);
  };
};

/** Opens connections when they are first needed. */
export const createAuditReader = (options: AuditReaderOptions): AuditReader => {
  const pool = openLogPool(options, {
    as: 'reader',
    connections: CONNECTIONS,
    statementMs: STATEMENT_MS,
    lost: 'A connection that reads the access log was lost',
  });
  const damaged = createDamaged(options.log);
  const toEntry = (row: EntryRow): LogEntry => entryOf(row, damaged);
  let closing: Promise<void> | null = null;

  const rows = async <R extends pg.QueryResultRow>({ text, values }: Statement): Promise<R[]> => {
    try {
      return (await pool.query<R>(text, [...values])).rows;
    } catch (cause) {
      // Class 22: a value that cannot be what it is searched as, such as a recording that is not a UUID.
      if (cause instanceof pg.DatabaseError && cause.code?.startsWith('22'))
        throw new AppError('invalid_request', 'No entry of the log can have one of these values.');
      throw logUnavailable('The access log cannot be read now.', cause);
    }
  };

  const search = async (query: LogSearch): Promise<LogEntry[]> =>
    (await rows<EntryRow>(searchStatement(query))).map(toEntry);
  const assertStated = createStatedCheck(search, damaged);

  const oneEntry = async (statement: Statement): Promise<LogEntry | null> => {
    const row = (await rows<EntryRow>(statement))[0];
    return row === undefined ? null : toEntry(row);
  };

  const find = async (eventId: string): Promise<LogEntry | null> =>
    isUuid(eventId) ? oneEntry(findStatement(eventId)) : null;

  return {
    find,
    search: async (query) => pageOf(await search(query), pageLimit(query)),
    hearings: async (query) => {
      const found = await rows<EntryRow & HeardColumns>(hearingsStatement(query));
      await assertStated(found[0]);
      const heardComplete = (found[0]?.looked_at ?? 0) < MAX_STATEMENTS;
      // Of an empty page there is a row that tells of statements alone.
      const entries = found.filter(({ seq }) => seq !== null).map((row) => hearingOf(row, damaged));
      return { ...pageOf(entries, pageLimit(query)), heardComplete };
    },
    count: async (query, most) => {
      const [row] = await rows<ExtentRow>(countStatement(query, most));
      return {
        count: row?.count ?? 0,
        first: placeOf(row?.first ?? null),
        last: placeOf(row?.last ?? null),
      };
    },
    tally: (query, most) => rows<Tally>(tallyStatement(query, most)),
    read: async (seq, audience) =>
      Number.isSafeInteger(seq) && seq >= 0 ? oneEntry(readStatement(seq, audience)) : null,
    receiptOf: async (eventId) => {
      const entry = await find(eventId);
      return entry && mintReceipt(entry.event, entry.seq);
    },
    head: async () => {
      const text = 'SELECT size, root FROM audit.batch ORDER BY first_seq DESC LIMIT 1';
      return headOf((await rows<HeadRow>({ text, values: [] }))[0]);
    },
    mayAppend: async () => {
      const text = `SELECT has_function_privilege('audit.append(text, bigint, bytea[], text[])', 'EXECUTE') AS may`;
      return (await rows<{ may: boolean }>({ text, values: [] }))[0]?.may === true;
    },
    tryAppend: () => tryAppend(pool),
    close: () => {
      closing ??= pool.end();
      return closing;
    },
  };
};
