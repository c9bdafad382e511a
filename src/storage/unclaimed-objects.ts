import { assertObjectKey, type ObjectKeyParts } from './object-key.ts';
import type { ObjectKey } from './object-store.ts';
import type { PrismaClient } from './prisma/client.ts';

type Unclaimed = { readonly key: ObjectKey; readonly erased: boolean };

const nameOf = (row: { readonly organisationId: string; readonly generation: string }): string =>
  `${row.organisationId}/${row.generation}`;

/** What in the store nobody answers for, and what somebody is writing. */
export const createUnclaimedObjects = ({
  recording,
  uploadPart,
}: Pick<PrismaClient, 'recording' | 'uploadPart'>) => {
  /** Of the parts among these, those of uploads that are still there. */
  const livingParts = async (parts: readonly ObjectKeyParts[]): Promise<ReadonlySet<string>> => {
    const generations = parts.filter(({ kind }) => kind === 'part').map(({ generation }) => generation);
    if (generations.length === 0) return new Set();
    const rows = await uploadPart.findMany({
      where: { generation: { in: generations } },
      select: { generation: true, upload: { select: { organisationId: true } } },
    });
    return new Set(
      rows.map(({ generation, upload: { organisationId } }) => nameOf({ organisationId, generation })),
    );
  };

  return {
    /**
     * Whether somebody writes the object of this key: the upload of a recording, or of the copy of its envelope, that was worked
     * on after `since`; a part that is announced and not kept, of an upload that somebody holds at `at`. By unique keys.
     */
    async isUnderWay(key: ObjectKey, { since, at }: { readonly since: Date; readonly at: Date }) {
      const { organisation: organisationId, generation, kind } = assertObjectKey(key);
      const found =
        kind === 'part'
          ? await uploadPart.findFirst({
              where: { generation, bytes: null, upload: { organisationId, claimedUntil: { gt: at } } },
              select: { generation: true },
            })
          : await recording.findFirst({
              where: {
                generation,
                organisationId,
                status: { in: ['intent', 'sealed'] },
                touchedAt: { gt: since },
              },
              select: { generation: true },
            });
      return found !== null;
    },

    /**
     * Which of these objects and copies no recording or upload answers for, and which parts no upload that is still there:
     * `erased` when there is a tombstone, otherwise there is no row at all. One query, two where there are parts.
     */
    async unclaimed(keys: readonly ObjectKey[]): Promise<readonly Unclaimed[]> {
      const parts = keys.map((key) => ({ key, ...assertObjectKey(key) }));
      const rows = await recording.findMany({
        where: { generation: { in: parts.map(({ generation }) => generation) } },
        select: { organisationId: true, generation: true, status: true },
      });
      const status = new Map<string, string>(rows.map((row) => [nameOf(row), row.status]));
      const living = await livingParts(parts);
      return parts.flatMap(({ key, organisation: organisationId, generation, kind }) => {
        const name = nameOf({ organisationId, generation });
        // No recording answers for a part, nor an upload for an object, whatever generation they name.
        if (kind === 'part') return living.has(name) ? [] : [{ key, erased: false }];
        const found = status.get(name);
        return found === undefined || found === 'erased' ? [{ key, erased: found === 'erased' }] : [];
      });
    },
  };
};
