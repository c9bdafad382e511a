import { worksInUnits } from '../core/appointment.ts';
import type { UnitTable } from '../storage/unit-table.ts';
import type { UserRow } from '../storage/user-table.ts';
import { invalid } from './fault.ts';

export type UnitChange = { readonly add: readonly string[]; readonly remove: readonly string[] };

/** So that the entry names every unit given or taken, in the space it has. */
const MAX_UNITS_CHANGED = 12;

/** As the access log says it: `units +<id> -<id>`; nothing when nothing changes. */
export const unitWords = ({ add, remove }: UnitChange): string[] => {
  const words = [...add.map((id) => `+${id}`), ...remove.map((id) => `-${id}`)];
  return words.length === 0 ? [] : [`units ${words.join(' ')}`];
};

/** What to add and take away to get from a user's care units to the wanted ones. Units are nurses', of their organisation. */
export const createUnitChange =
  ({ units }: { readonly units: Pick<UnitTable, 'usable'> }) =>
  async (
    user: Pick<UserRow, 'organisationId' | 'role' | 'units'>,
    wanted: readonly string[],
  ): Promise<UnitChange> => {
    const add = [...new Set(wanted)].filter((id) => !user.units.includes(id));
    const remove = user.units.filter((id) => !wanted.includes(id));
    if (add.length > 0 && !worksInUnits(user.role))
      throw invalid('body/units', 'only nurses work for care units');
    if (add.length + remove.length > MAX_UNITS_CHANGED)
      throw invalid('body/units', `changes more than ${MAX_UNITS_CHANGED} units at once`);
    const usable = user.organisationId === null ? [] : await units.usable(user.organisationId, add);
    if (usable.length !== add.length)
      throw invalid('body/units', 'names a unit that is not there or is disabled');
    return { add, remove };
  };
