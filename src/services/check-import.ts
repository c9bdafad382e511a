import type { SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { IntakeTable } from '../storage/intake-table.ts';
import type { Authority, Caller } from './authority.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';

export type CheckImportDeps = {
  readonly intake: Pick<IntakeTable, 'unit'>;
  readonly authority: Pick<Authority, 'inOrganisation'>;
  readonly recordUploadRefusal: RecordUploadRefusal;
};

type Asked = Omit<Caller, 'actor'> & {
  readonly actor: SourceActor;
  /** By id or name, as in the metadata of a call. */
  readonly careUnits: readonly string[];
};

/**
 * Whether calls said to be of these care units would be taken: asked once, before thousands are refused one by one. Judged as
 * each call is (intake-rules.ts), among the units of the source's own organisation alone. Rejects, once the refusal is in the log, with
 * `not_acceptable_metadata` for those that are not there or not active, by their places in the question.
 */
export const createCheckImport =
  ({ intake, authority, recordUploadRefusal }: CheckImportDeps) =>
  async ({ careUnits, ...caller }: Asked): Promise<void> => {
    await authority.inOrganisation(caller, 'recording.create');
    const { actor, request } = caller;
    const found = await Promise.all(careUnits.map((unit) => intake.unit(actor.organisation, unit)));
    const faults = found.flatMap((unit, n) =>
      unit?.active === true
        ? []
        : [
            {
              where: `careUnits/${n}`,
              fault: 'is not an active care unit of this organisation (id or name)',
            },
          ],
    );
    if (faults.length === 0) return;
    const error = new AppError('not_acceptable_metadata', 'Calls of these care units would be refused.', {
      faults,
    });
    await recordUploadRefusal({ actor, request, error });
    throw error;
  };

export type CheckImport = ReturnType<typeof createCheckImport>;
