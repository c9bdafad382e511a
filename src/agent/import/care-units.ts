import { AppError } from '../../core/errors.ts';
import type { ParseLegacyName } from '../../core/legacy-names.ts';
import { type Answer, type Delivery, deliveryOf, unanswered } from '../delivery.ts';
import { mediaTypeOf } from '../media-types.ts';
import { openSideFile } from '../side-files.ts';
import type { VaultClient } from '../vault-client.ts';
import { nameOf, pathText, plainName } from './call-of.ts';
import type { Journal } from './journal.ts';
import { forAll } from './run-import.ts';
import type { Found } from './walk.ts';

/** Care units that calls will be said to be of, and which option says so. */
export type NamedUnits = { readonly option: 'field' | 'pattern'; readonly units: readonly string[] };
type Later = Extract<Delivery, { outcome: 'later' }>;

/** More of them are no care units; the rest is found at the files. */
const MAX_UNITS = 1_000;
/** In one question, as the vault takes them. */
const BATCH = 20;
const SHOWN = 10;

export type UnitsInPathsOptions = {
  readonly folder: string;
  /** One of its own: a pattern is stopped after so many names that take it long. */
  readonly parse: ParseLegacyName;
  readonly journal: Pick<Journal, 'idOf' | 'find'>;
};

/** The care units in the paths of what may still be sent; a side file counts instead of the path, and names that promise no audio are not looked into. */
export const unitsInPaths = async (
  { folder, parse, journal }: UnitsInPathsOptions,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const units = new Set<string>();
  const isSent = async ({ relative }: Found): Promise<boolean> => {
    const known = await journal.find(journal.idOf(relative), 'look');
    return known?.outcome !== 'verified' && known?.outcome !== 'wiped';
  };
  /** What is wrong with a side file is told when its recording's turn comes. */
  const hasSide = async (path: Buffer): Promise<boolean> => {
    const side = await openSideFile(path).catch(() => 'unusable' as const);
    if (side !== null && side !== 'unusable') await side.file.close();
    return side !== null;
  };
  const look = async (found: Found): Promise<void> => {
    if (found.kind !== 'file' || units.size >= MAX_UNITS || mediaTypeOf(nameOf(found.relative)) === null)
      return;
    const { careUnit } = parse(pathText(found.relative));
    if (careUnit === null || units.has(careUnit)) return;
    if ((await isSent(found)) && !(await hasSide(found.path))) units.add(careUnit);
  };
  await forAll(folder, 1, look, signal);
  return [...units];
};

/** Places in the question of what the vault would refuse; the answer is another machine's. */
const refusedOf = (body: unknown, asked: number): readonly number[] => {
  const faults = (body as { readonly faults?: unknown } | null)?.faults;
  if (!Array.isArray(faults)) return [];
  return faults.flatMap((one: { readonly where?: unknown } | null) => {
    const place = Number(/^careUnits\/(\d{1,2})$/.exec(String(one?.where))?.[1] ?? Number.NaN);
    return place < asked ? [place] : [];
  });
};

/** `null`: it does not say, being of an age that knows no such question; what is wrong is then found at the first file. */
const read = (answer: Answer | null, asked: number): readonly number[] | Later | null => {
  if (answer === null) {
    const silent = unanswered('the vault does not answer');
    return silent.outcome === 'later' ? silent : null;
  }
  const { status, body } = answer;
  if (status === 204) return [];
  if (status === 400) return refusedOf(body, asked);
  if (status === 404 || status === 405) return null;
  const delivery = deliveryOf(answer, '');
  return delivery.outcome === 'later' ? delivery : null;
};

const faultOf = ({ option, units }: NamedUnits, unknown: readonly string[], showNames: boolean): AppError => {
  const [is, what] =
    unknown.length === 1 ? ['is', 'a care unit'] : ['are', `${unknown.length} of ${units.length} care units`];
  const names = unknown.slice(0, SHOWN).map((unit) => JSON.stringify(plainName(unit)));
  const shown = showNames ? ` (${names.join(', ')}${unknown.length > SHOWN ? ', …' : ''})` : '';
  return new AppError(
    'config_invalid',
    option === 'field'
      ? '--field careUnit names no active care unit of the organisation that this key is of. Nothing was sent. Write the id or the name of one as its administrator sees it, or let one be made.'
      : `--pattern reads from the paths ${what}${shown} that ${is} no active care unit of the organisation that this key is of. Nothing was sent. Let them be made, change the pattern, or leave the group unit out of it and name one for all with --field careUnit=…${showNames ? '' : '; --show-names names them'}.`,
  );
};

export type CheckUnitsDeps = {
  readonly client: Pick<VaultClient, 'ask'>;
  /** Asked when the first file is to be sent: a run that sends none has no question. */
  readonly named: (signal: AbortSignal) => Promise<readonly NamedUnits[]>;
  readonly showNames: boolean;
};

/**
 * Asks the vault before the first file is sent whether it knows the care units that calls will be said to be of; once, and
 * until it answers. Resolves to null when it does, or cannot say. Throws `config_invalid`, with the option and without a name unless
 * names are shown, when it does not.
 */
export const createCheckUnits = ({ client, named, showNames }: CheckUnitsDeps) => {
  let asked: readonly NamedUnits[] | null = null;
  let checked = false;
  let checking: Promise<Later | null> | null = null;

  const checkOne = async (one: NamedUnits, signal: AbortSignal): Promise<Later | null> => {
    const unknown: string[] = [];
    for (let from = 0; from < one.units.length; from += BATCH) {
      const careUnits = one.units.slice(from, from + BATCH);
      const answer = await client.ask('POST', '/v1/import-checks', { body: { careUnits }, signal });
      const said = read(answer, careUnits.length);
      if (said === null) return null;
      if ('outcome' in said) return said;
      unknown.push(...said.map((place) => careUnits[place] as string));
    }
    if (unknown.length > 0) throw faultOf(one, unknown, showNames);
    return null;
  };
  const check = async (signal: AbortSignal): Promise<Later | null> => {
    asked ??= await named(signal);
    for (const one of asked) {
      const later = await checkOne(one, signal);
      if (later !== null) return later;
    }
    return null;
  };

  return async (signal: AbortSignal): Promise<Later | null> => {
    if (checked) return null;
    checking ??= check(signal).finally(() => {
      checking = null;
    });
    const later = await checking;
    checked ||= later === null;
    return later;
  };
};

export type CheckUnits = ReturnType<typeof createCheckUnits>;
