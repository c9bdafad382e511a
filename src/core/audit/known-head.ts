import type { Anchor } from './verify.ts';

const HEX = /^[0-9a-fA-F]{64}$/;
/** 32 bytes, with or without the padding. */
const BASE64 = /^[A-Za-z0-9+/]{43}=?$/;

const hexOf = (root: string): string | null => {
  if (HEX.test(root)) return root.toLowerCase();
  if (!BASE64.test(root)) return null;
  const bytes = Buffer.from(root, 'base64');
  // The last letter carries two bits that must be nought: another spelling would be a slip of whoever copied it.
  return bytes.toString('base64').startsWith(root) ? bytes.toString('hex') : null;
};

/**
 * A head somebody kept, as `SIZE:ROOT`: the two that a vault writes into its own log, the root in hex or base64. Null for
 * anything else, and for a head of no entries, which says nothing.
 */
export const parseKnownHead = (text: string): Anchor | null => {
  const [, size, root = ''] = /^([1-9]\d{0,14}):(.*)$/.exec(text) ?? [];
  const hex = hexOf(root);
  return size === undefined || hex === null ? null : { size: Number(size), root: hex };
};
