import type { UnitFound } from '../core/delivery-flags.ts';
import { AppError } from '../core/errors.ts';
import type { CallMetadata } from '../core/metadata.ts';
import { eraseAfter, parsePolicies, type RetentionClass } from '../core/retention.ts';
import type { IntakeTable, NamedUnit, SourceSettings } from '../storage/intake-table.ts';
import type { IngestRequest } from './ingest-request.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';

type IntakeRequest = Pick<IngestRequest, 'actor' | 'metadata' | 'request' | 'sealed'>;

/** What governs a recording from its first moment: G-1 legal basis, G-2 retention class and date, G-3 announcement. */
export type IntakeRules = UnitFound & {
  readonly unitId: string | null;
  readonly announcement: string;
  readonly retentionClass: RetentionClass;
  readonly legalBasis: string;
  readonly startedAt: Date;
  readonly eraseAfter: Date;
};

export type IntakeRulesDeps = {
  readonly intake: IntakeTable;
  /** Throws `storage_full` below the floor of free space: uploads stop first, while there is room for the log. */
  readonly assertRoom: () => Promise<void>;
  readonly recordUploadRefusal: RecordUploadRefusal;
  readonly now: () => number;
};

/**
 * Whose a recording is; null when it is refused for naming a unit that there is not. Where nothing is refused, one that is
 * disabled keeps what it is named for, as a disabled default does: other nurses are not to hear it, hers will when it is enabled.
 */
const namedUnit = (
  { careUnit, tolerant }: Pick<CallMetadata, 'careUnit' | 'tolerant'>,
  named: NamedUnit | null,
  { defaultUnitId, defaultUnitActive }: SourceSettings,
): (UnitFound & Pick<IntakeRules, 'unitId'>) | null => {
  if (named !== null && (named.active || tolerant))
    return { unitId: named.id, hasCareUnit: named.active, unitIsUnknown: false };
  const unitIsUnknown = careUnit !== null;
  if (unitIsUnknown && !tolerant) return null;
  return { unitId: defaultUnitId, hasCareUnit: defaultUnitActive, unitIsUnknown };
};

/**
 * The metadata's own words, else the source's settings. Rejects, once the refusal is in the log, with `storage_full` where
 * there is no room, `forbidden` for what a sealing source sends unsealed, and `not_acceptable_metadata` for an unknown care
 * unit, unless the metadata is to be taken as it is.
 */
export const createIntakeRules = ({ intake, assertRoom, recordUploadRefusal, now }: IntakeRulesDeps) => {
  const decide = async ({ actor, metadata, sealed }: IntakeRequest): Promise<IntakeRules> => {
    await assertRoom();
    const [settings, named] = await Promise.all([
      intake.settings(actor.id),
      metadata.careUnit === null ? null : intake.unit(actor.organisation, metadata.careUnit),
    ]);
    if (settings === null) throw new AppError('unauthenticated', 'This source no longer exists.');
    // Whoever has stolen its API key alone adds nothing, and nothing comes unsealed by mistake.
    if (settings.signingKey !== null && sealed === undefined)
      throw new AppError(
        'forbidden',
        'This source seals its recordings itself: send this one to /v1/sealed-recordings, signed.',
      );
    const unit = namedUnit(metadata, named, settings);
    if (unit === null)
      throw new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', {
        faults: [
          { where: 'careUnit', fault: 'is not an active care unit of this organisation (id or name)' },
        ],
      });
    const startedAt = metadata.startedAt ?? now();
    const retentionClass = metadata.retentionClass ?? (settings.retentionClass as RetentionClass);
    return {
      ...unit,
      announcement: metadata.announcement ?? settings.announcement,
      retentionClass,
      legalBasis: metadata.legalBasis ?? settings.legalBasis,
      startedAt: new Date(startedAt),
      eraseAfter: new Date(
        eraseAfter({ retentionClass, from: startedAt, policies: parsePolicies(settings.policies) }),
      ),
    };
  };

  return async (asked: IntakeRequest): Promise<IntakeRules> => {
    try {
      return await decide(asked);
    } catch (error) {
      await recordUploadRefusal({ actor: asked.actor, request: asked.request, error });
      throw error;
    }
  };
};

export type DecideIntake = ReturnType<typeof createIntakeRules>;
