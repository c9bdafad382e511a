import { AppError } from '../core/errors.ts';
import type { AuditAction } from '../core/events.ts';
import { installationActions, usualActions } from './indexed-actions.ts';
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
export const createConditions = () => {
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

export const audienceCondition = (audience: Audience, { parameter }: Conditions): string => {
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

/** Each names few entries, and has an index in which they stand in order. */
const narrow = ['actor', 'recording', 'subject'] as const;

/** Whoever guesses passwords fills the installation's own entries. */
const usualOfInstallation: readonly AuditAction[] = [...usualActions, 'session.refused'];
const isUsual = ({ scope }: Audience, action: AuditAction): boolean =>
  (scope === 'installation' ? usualOfInstallation : usualActions).includes(action);

/**
 * One walk cannot follow an index in order for several keys of a patient or several rare actions at once; one for each,
 * merged, reads no more than the page from each. Each branch is a condition; none: the other conditions say all.
 */
const branchesOf = (query: LogSearch, conditions: Conditions): readonly string[] => {
  const { audience, actions, subjects } = query;
  if (subjects !== undefined) {
    if (actions !== undefined) conditions.add(actionCondition(audience, actions, conditions));
    return subjects.map((subject) => `(e.facts).subject = ${conditions.parameter(subject)}::text`);
  }
  if (actions === undefined) return [];
  if (audience.scope === 'installation' || narrow.some((field) => query[field] !== undefined))
    return [actionCondition(audience, actions, conditions)];
  const usual = actions.filter((action) => usualActions.includes(action));
  const rare = actions.filter((action) => !usualActions.includes(action));
  return [
    ...(usual.length === 0 ? [] : [actionCondition(audience, usual, conditions)]),
    ...rare.map((action) => `(e.facts).action = ${conditions.parameter(action)}::text`),
  ];
};

const isEmpty = ({ subjects, actions }: LogSearch): boolean =>
  subjects?.length === 0 || actions?.length === 0;

/**
 * What most entries are, and whoever plans a search takes for rare, would read and sort the whole log: of a CASE it expects
 * every other row to be so. What it knows of the outcome lies in a partial index that leaves success out; what it knows of
 * action and purpose lies in the organisation's index, which the installation's own searches do not follow.
 */
const often = (condition: string): string => `CASE WHEN ${condition} THEN true END`;
const usualValues: Partial<Record<string, string>> = { outcome: 'success', purpose: 'care' };
const isUsualValue = (audience: Audience, field: string, wanted: string): boolean =>
  field === 'action' ? isUsual(audience, wanted as AuditAction) : usualValues[field] === wanted;
const isOften = (audience: Audience, field: string, wanted: string): boolean =>
  isUsualValue(audience, field, wanted) && (field === 'outcome' || audience.scope === 'installation');

const actionCondition = (
  audience: Audience,
  actions: readonly AuditAction[],
  { parameter }: Conditions,
): string => {
  const condition = `(e.facts).action = ANY (${parameter(actions)}::text[])`;
  return actions.some((action) => isOften(audience, 'action', action)) ? often(condition) : condition;
};

/**
 * A person, a recording, a patient and a unit are of one organisation, which the planner cannot know: it would take the
 * entries of both for a small part of either, and read and sort all of them. Something rare is found by organisation.
 */
const belongsToOne = (query: LogSearch): boolean => {
  const { audience, action, actions, subjects } = query;
  const rare = [action, ...(actions ?? [])].some((one) => one !== undefined && !isUsual(audience, one));
  const unusual = (['outcome', 'purpose'] as const).some(
    (field) => query[field] !== undefined && !isUsualValue(audience, field, query[field]),
  );
  const within = [...narrow, 'unit' as const].some((field) => query[field] !== undefined);
  return (within || subjects !== undefined) && !rare && !unusual;
};

/** What holds for every entry that is wanted, but for what each branch has of its own. */
const addConditions = (query: LogSearch, conditions: Conditions): void => {
  const { parameter, add } = conditions;
  const seen = audienceCondition(query.audience, conditions);
  add(query.audience.scope === 'organisation' && belongsToOne(query) ? often(seen) : seen);
  for (const [field, type] of Object.entries(columns) as [keyof typeof columns, string][]) {
    const wanted = query[field];
    if (wanted === undefined) continue;
    const condition = `(e.facts).${field} = ${parameter(wanted)}::${type}`;
    add(isOften(query.audience, field, wanted) ? often(condition) : condition);
  }
  if (query.from !== undefined) add(`(e.facts).at >= ${parameter(query.from)}::bigint`);
  if (query.to !== undefined) add(`(e.facts).at < ${parameter(query.to)}::bigint`);
  if (query.start !== undefined) add(`e.seq >= ${parameter(query.start)}::bigint`);
  if (query.size !== undefined) add(`e.seq < ${parameter(query.size)}::bigint`);
  if (query.cursor !== undefined) {
    const { at, seq } = parseCursor(query.cursor);
    add(`((e.facts).at, e.seq) < (${parameter(at)}::bigint, ${parameter(seq)}::bigint)`);
  }
};

const NEWEST_FIRST = 'ORDER BY (e.facts).at DESC, e.seq DESC';

/** One selection, or one for each branch, each at most `limit` long; `select` ends in its tables. */
const selections = (query: LogSearch, conditions: Conditions, select: string, end: string): string => {
  addConditions(query, conditions);
  if (isEmpty(query)) conditions.add('false');
  const branches = branchesOf(query, conditions);
  if (branches.length < 2) {
    for (const branch of branches) conditions.add(branch);
    return `${select} WHERE ${conditions.text()} ${end}`;
  }
  const common = conditions.text();
  return branches.map((branch) => `(${select} WHERE ${common} AND ${branch} ${end})`).join(' UNION ALL ');
};

/** A page, newest first, as `FROM` takes it: `seq, salt, body, commitment, at, event_id`. */
export const pageOf = (query: LogSearch, conditions: Conditions, length: number): string => {
  const limit = conditions.parameter(length);
  const end = `${NEWEST_FIRST} LIMIT ${limit}::bigint`;
  const select = `SELECT ${ENTRY_COLUMNS}, (e.facts).at AS at, (e.facts).event_id AS event_id FROM ${ENTRY_TABLES}`;
  const found = selections(query, conditions, select, end);
  return found.startsWith('(')
    ? `SELECT * FROM (${found}) AS found ORDER BY at DESC, seq DESC LIMIT ${limit}::bigint`
    : found;
};

/** One entry more than the page, which tells whether there is another page. */
export const searchStatement = (query: LogSearch): Statement => {
  const conditions = createConditions();
  const text = pageOf(query, conditions, pageLimit(query) + 1);
  return { text, values: conditions.values };
};

/** How many entries a search has, `most` at the most, and the lowest and highest place among them. */
export const countStatement = (query: LogSearch, most: number): Statement => {
  const conditions = createConditions();
  const end = `LIMIT ${conditions.parameter(most)}::bigint`;
  const found = selections(query, conditions, 'SELECT e.seq FROM audit.entry e', end);
  const text = `SELECT count(*)::int AS count, min(seq) AS first, max(seq) AS last
    FROM (SELECT seq FROM (${found}) AS walked LIMIT $1::bigint) AS found`;
  return { text, values: conditions.values };
};

/** How often each action came to each outcome, among the newest `most` entries of a search. */
export const tallyStatement = (query: LogSearch, most: number): Statement => {
  const conditions = createConditions();
  const end = `${NEWEST_FIRST} LIMIT ${conditions.parameter(most)}::bigint`;
  const select = 'SELECT (e.facts).action AS action, (e.facts).outcome AS outcome FROM audit.entry e';
  const text = `SELECT action, outcome, count(*)::int AS count FROM (${selections(query, conditions, select, end)}) AS found
    GROUP BY action, outcome ORDER BY action, outcome`;
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
