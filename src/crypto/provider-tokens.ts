import type { KeyObject } from 'node:crypto';
import { type OrganisationId, uuidBytes } from '../core/ids.ts';
import { integrityFailure } from './integrity.ts';
import type { KeyCache } from './key-cache.ts';
import { type Label, labelled, labels, uint32 } from './labels.ts';
import { openBox, sealBox } from './sealed-box.ts';
import { deriveKey } from './secret.ts';

export type ProviderTokenPlace = { readonly organisation: OrganisationId; readonly source: string };

const VERSION_BYTES = 4;

/** Version of the organisation's field key(4) ‖ sealed box, for one organisation and source, under a label of its own. */
const createBoxes = (keys: KeyCache, label: Label) => {
  const placeOf = ({ organisation, source }: ProviderTokenPlace): Buffer =>
    labelled(label, uuidBytes(organisation), uuidBytes(source));
  const keyOf = (key: KeyObject, place: ProviderTokenPlace): KeyObject => deriveKey(key, placeOf(place));

  return {
    async seal(place: ProviderTokenPlace, text: string): Promise<Buffer> {
      const { organisation } = place;
      const { key, version } = await keys.newest({ organisation, purpose: 'field' });
      return sealBox(keyOf(key, place), placeOf(place), Buffer.from(text, 'utf8'), uint32(version));
    },

    /** Throws `integrity_failure` for what is damaged or was sealed for another source. */
    async open(place: ProviderTokenPlace, sealed: Buffer): Promise<string> {
      if (sealed.length < VERSION_BYTES) throw integrityFailure('field');
      const { organisation } = place;
      const { key } = await keys.version({ organisation, purpose: 'field' }, sealed.readUInt32BE());
      const plain = openBox(keyOf(key, place), placeOf(place), sealed.subarray(VERSION_BYTES));
      if (plain === null) throw integrityFailure('field');
      return plain.toString('utf8');
    },
  };
};

/**
 * Tokens by which a source's provider is asked, and signs (docs/file-format.md §3). They open for their own organisation and
 * source alone.
 */
export const createProviderTokens = ({ keys }: { readonly keys: KeyCache }) =>
  createBoxes(keys, labels.providerToken);

/** What a provider said of a recording that is still to be fetched: sealed like its token, and opens as nothing else. */
export const createProviderCallbacks = ({ keys }: { readonly keys: KeyCache }) =>
  createBoxes(keys, labels.providerCallback);

export type ProviderCallbacks = ReturnType<typeof createProviderCallbacks>;
export type ProviderTokens = ReturnType<typeof createProviderTokens>;
