import { AppError } from './errors.ts';
import { type CallMetadata, parseMetadata, readMetadataJson } from './metadata.ts';
import { isSiprec, siprecCall } from './siprec.ts';
import { readXml, type XmlElement, XmlFault } from './xml-document.ts';

const refused = (faults: readonly { readonly where: string; readonly fault: string }[]): AppError =>
  new AppError('not_acceptable_metadata', 'The metadata cannot be accepted.', { faults });

const readRoot = (siprec: Uint8Array): XmlElement => {
  let root: XmlElement;
  try {
    root = readXml(siprec);
  } catch (error) {
    if (error instanceof XmlFault)
      throw refused([{ where: error.where === 'xml' ? 'siprec' : error.where, fault: error.message }]);
    throw error;
  }
  if (!isSiprec(root))
    throw refused([{ where: 'siprec', fault: 'is no recording metadata of SIPREC (RFC 7865)' }]);
  return root;
};

/**
 * The metadata of a call that comes with recording metadata of SIPREC: both attacker-controlled. What the JSON says holds,
 * whatever the XML says or leaves open. Throws `not_acceptable_metadata`, which names fields of the one and elements of the other,
 * and repeats no value. `now` is milliseconds since 1970.
 */
export const parseSiprecMetadata = (
  siprec: Uint8Array,
  metadata: Uint8Array | null,
  now: number,
): CallMetadata => {
  const said = metadata === null ? {} : readMetadataJson(metadata);
  const isSaid = (field: string): boolean => Object.hasOwn(said, field);
  const { fields, where, faults } = siprecCall(readRoot(siprec), { clock: null, direction: said.direction });
  const open = faults.filter(({ field }) => !isSaid(field));
  if (open.length > 0)
    throw refused(
      open.map((one) => ({
        where: one.where,
        fault: `${one.fault}: say ${one.field} in the part metadata`,
      })),
    );
  return parseMetadata({ ...fields, ...said }, now, (field) =>
    isSaid(field) ? field : (where.get(field) ?? field),
  );
};
