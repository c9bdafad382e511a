import type { AuditWriter } from '../audit/writer.ts';
import type { SourceActor } from '../core/access.ts';
import { AppError } from '../core/errors.ts';
import type { EventDetails } from '../core/events.ts';
import type { Authority, Caller } from './authority.ts';
import { eventBase } from './event-base.ts';

export type ReportImportDeps = {
  readonly audit: Pick<AuditWriter, 'append'>;
  readonly authority: Pick<Authority, 'inOrganisation'>;
  readonly now: () => number;
};

type Asked = Omit<Caller, 'actor'> & {
  readonly actor: SourceActor;
  /** The source's own statement; the vault compares nothing. */
  readonly report: EventDetails['import.reported'];
};

/** Side files are files as well, and neither verified nor exceptions. */
const assertConsistent = ({ files, verified, wiped, exceptions }: Asked['report']): void => {
  const faults = [
    ...(verified + exceptions > files
      ? [{ where: 'files', fault: 'is less than verified and exceptions' }]
      : []),
    ...(wiped > verified ? [{ where: 'wiped', fault: 'is more than verified' }] : []),
  ];
  if (faults.length > 0)
    throw new AppError('invalid_request', 'The totals contradict each other.', { faults });
};

/**
 * Puts the digest and the totals of an import's report into the access log. From then on nobody, the one who imported
 * included, can show another report for this one: the entry has a proof, and checkpoints that lie elsewhere cover it. Rejects with
 * `invalid_request` for totals that contradict each other.
 */
export const createReportImport =
  ({ audit, authority, now }: ReportImportDeps) =>
  async ({ report, ...caller }: Asked): Promise<{ readonly id: string; readonly at: number }> => {
    await authority.inOrganisation(caller, 'import.report');
    assertConsistent(report);
    const base = eventBase(caller.actor, caller.request, now());
    await audit.append({ ...base, action: 'import.reported', outcome: 'success', detail: report });
    return { id: base.id, at: base.at };
  };

export type ReportImport = ReturnType<typeof createReportImport>;
