import { createHash } from 'node:crypto';
import type { ObjectIdentity, WrappedKey } from './envelope.ts';

/** A wrapped data key and the object it belongs to. */
export type BundledKey = ObjectIdentity & { readonly wrap: WrappedKey };

export type BundleHeader = {
  /** Id of the bundle, and of its entry in the access log. */
  readonly bundle: string;
  readonly installation: string;
  /** When it was begun, in milliseconds since 1970: recordings stored before, and not erased since, are in it. */
  readonly at: number;
  /** How many there were to export then; the closing line says how many there are. */
  readonly count: number;
};

const BUNDLE_FORMAT = 1;

/**
 * Writes the lines of a bundle (docs/file-format.md §10): one header, the keys page by page, one closing line with their
 * number and the SHA-256 of all that stands before it. Lines end in a line feed; names are fixed and in fixed order.
 */
export const createBundleLines = () => {
  const digest = createHash('sha256');
  let count = 0;
  const told = (text: string): Buffer => {
    const bytes = Buffer.from(text, 'latin1');
    digest.update(bytes);
    return bytes;
  };
  return {
    header: ({ bundle, installation, at, count: expected }: BundleHeader): Buffer =>
      told(
        `${JSON.stringify({
          format: BUNDLE_FORMAT,
          kind: 'callvault-wrapped-keys',
          installation,
          bundle,
          at: new Date(at).toISOString(),
          count: expected,
        })}\n`,
      ),
    keys(page: readonly BundledKey[]): Buffer {
      count += page.length;
      const lines = page.map(({ recording, generation, organisation, wrap }) =>
        JSON.stringify({
          recording,
          generation,
          organisation,
          provider: wrap.provider,
          keyId: wrap.keyId,
          version: wrap.keyVersion,
          wrapped: Buffer.from(wrap.blob).toString('hex'),
        }),
      );
      return told(lines.map((line) => `${line}\n`).join(''));
    },
    /** To be called once, last. */
    closing() {
      const sha256 = digest.digest('hex');
      const line = Buffer.from(`${JSON.stringify({ end: true, count, sha256 })}\n`, 'latin1');
      return { line, count, sha256 };
    },
  };
};
