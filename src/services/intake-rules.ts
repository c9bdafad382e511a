import { AppError } from '../core/errors.ts';
import { eraseAfter, parsePolicies, type RetentionClass } from '../core/retention.ts';
import type { IntakeTable } from '../storage/intake-table.ts';
import type { IngestRequest } from './ingest-request.ts';
import type { RecordUploadRefusal } from './record-upload-refusal.ts';

type IntakeRequest = Pick<IngestRequest, 'actor' | 'metadata' | 'request' | 'sealed'>;

/** What governs a recording from its first moment: G-1 legal basis, G-2 retention class and date, G-3 announcement. */
export type IntakeRules = {
  readonly unitId: string | null;
  /** Whether that is an active unit: of what has none no nurse hears anything. */
  readonly hasCareUnit: boolean;
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
 * The metadata's own words, else the source's settings. Rejects, once the refusal is in the log, with `storage_full` where
 * there is no room, `forbidden` for what a sealing source sends unsealed, and `not_acceptable_metadata` for an unknown care
 * unit.
 */
export const createIntakeRules = ({ intake, assertRoom, recordUploadRefusal, now }: IntakeRulesDeps) => {
  const decide = async ({ actor, metadata, sealed }: IntakeRequest): Promise<IntakeRules> => {
    await assertRoom();
    const [settings, named] = await Promise.all([
      intake.settings(actor.id),
      metadata.careUnit === null ? null : intake.unitId(actor.organisation, metadata.careUnit),
    ]);
    if (settings === null) throw new AppError('unauthenticated', 'This source no longer exists.');
    // Whoever has stolen its API key alone adds nothing, and nothing comes unsealed by mistake.
    if (settings.signingKey !== null && sealed === undefined)
      throw new AppError(
        'forbidden',
        'This source seals its recordings itself: send this one to /v1/sealed-recordings, signed.',
      );
    if (metadata.careUnit !== null && named === null)
      throw new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', {
        faults: [
          { where: 'careUnit', fault: 'is not an active care unit of this organisation (id or name)' },
        ],
      });
    const startedAt = metadata.startedAt ?? now();
    const retentionClass = metadata.retentionClass ?? (settings.retentionClass as RetentionClass);
    return {
      unitId: named ?? settings.defaultUnitId,
      hasCareUnit: named !== null || settings.defaultUnitActive,
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
