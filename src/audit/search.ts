import { AppError } from '../core/errors.ts';
import { type AuditAction, eventScope } from '../core/events.ts';
import type { Audience, LogSearch } from './reader.ts';

/** A statement and its values; every value is a parameter. */
export type Statement = { readonly text: string; readonly values: readonly unknown[] };

/** Where a page ended: time and place of its last entry. */
export type Cursor = { readonly at: number; readonly seq: number };

export const MAX_LIMIT = 200;
const DEFAULT_LIMIT = 50;

/** What every read needs to check an entry against what the log committed to. */
export const ENTRY_COLUMNS = 'e.seq, e.salt, e.body, l.commitment';
export const ENTRY_TABLES = 'audit.entry e JOIN audit.leaf l USING (seq)';

const installationActions = (Object.keys(eventScope) as AuditAction[]).filter(
  (action) => eventScope[action] === 'installation',
);

const CURSOR = /^(\d{1,16})\.(\d{1,16})$/;
const MAX_CURSOR = 64;

export const formatCursor = ({ at, seq }: Cursor): string =>
  Buffer.from(`${at}.${seq}`).toString('base64url');

/** Attacker-controlled; `invalid_request` unless it is spelt as we spell ours. It grants nothing: every page is filtered anew. */
export const parseCursor = (cursor: string): Cursor => {
  const text = cursor.length > MAX_CURSOR ? '' : Buffer.from(cursor, 'base64url').toString('latin1');
  const parts = CURSOR.exec(text);
  const parsed = parts === null ? null : { at: Number(parts[1]), seq: Number(parts[2]) };
  if (parsed === null || formatCursor(parsed) !== cursor)
    throw new AppError('invalid_request', 'The cursor is not one of this log.');
  return parsed;
};

/** Collects conditions and numbers their parameters. */
const createConditions = () => {
  const values: unknown[] = [];
  const conditions: string[] = [];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  return {
    values,
    parameter,
    add: (condition: string): void => {
      conditions.push(condition);
    },
    text: (): string => conditions.join(' AND '),
  };
};

type Conditions = ReturnType<typeof createConditions>;

const audienceCondition = (audience: Audience, { parameter }: Conditions): string => {
  const actions = `${parameter(installationActions)}::text[]`;
  return audience.scope === 'installation'
    ? `((e.facts).organisation IS NULL OR (e.facts).action = ANY (${actions}))`
    : `((e.facts).organisation = ${parameter(audience.organisation)}::uuid AND (e.facts).action <> ALL (${actions}))`;
};

/** Search field → column and type. What is not here cannot be searched by. */
const columns = {
  actor: 'text',
  recording: 'uuid',
  subject: 'text',
  action: 'text',
  outcome: 'text',
  unit: 'uuid',
  purpose: 'text',
  session: 'uuid',
} as const;

export const pageLimit = ({ limit = DEFAULT_LIMIT }: Pick<LogSearch, 'limit'>): number => {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new AppError('invalid_request', `A page of the log has 1 to ${MAX_LIMIT} entries.`);
  return limit;
};

/** One entry more than the page, which tells whether there is another page. */
export const searchStatement = (query: LogSearch): Statement => {
  const conditions = createConditions();
  conditions.add(audienceCondition(query.audience, conditions));
  for (const [field, type] of Object.entries(columns) as [keyof typeof columns, string][]) {
    const wanted = query[field];
    if (wanted !== undefined) conditions.add(`(e.facts).${field} = ${conditions.parameter(wanted)}::${type}`);
  }
  if (query.from !== undefined) conditions.add(`(e.facts).at >= ${conditions.parameter(query.from)}::bigint`);
  if (query.to !== undefined) conditions.add(`(e.facts).at < ${conditions.parameter(query.to)}::bigint`);
  if (query.cursor !== undefined) {
    const { at, seq } = parseCursor(query.cursor);
    conditions.add(
      `((e.facts).at, e.seq) < (${conditions.parameter(at)}::bigint, ${conditions.parameter(seq)}::bigint)`,
    );
  }
  const text = `SELECT ${ENTRY_COLUMNS} FROM ${ENTRY_TABLES} WHERE ${conditions.text()}
    ORDER BY (e.facts).at DESC, e.seq DESC LIMIT ${conditions.parameter(pageLimit(query) + 1)}`;
  return { text, values: conditions.values };
};

export const readStatement = (seq: number, audience: Audience): Statement => {
  const conditions = createConditions();
  conditions.add(`e.seq = ${conditions.parameter(seq)}::bigint`);
  conditions.add(audienceCondition(audience, conditions));
  return {
    text: `SELECT ${ENTRY_COLUMNS} FROM ${ENTRY_TABLES} WHERE ${conditions.text()}`,
    values: conditions.values,
  };
};

export const findStatement = (eventId: string): Statement => ({
  text: `SELECT ${ENTRY_COLUMNS} FROM ${ENTRY_TABLES} WHERE l.event_id = $1::uuid`,
  values: [eventId],
});
