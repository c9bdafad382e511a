import type { ExportHeader } from './export-format.ts';
import { openSigned, trustNobody } from './trust.ts';
import type { Anchor } from './walk.ts';

/** Heads that an export says its log had. Its own verification says what that is worth. */
export const headsOf = ({ size, root, checkpoint }: ExportHeader, from: string): readonly Anchor[] => {
  const heads: Anchor[] = [{ size, root: Buffer.from(root, 'base64').toString('hex'), from }];
  const opened = checkpoint === null ? null : openSigned(checkpoint, trustNobody);
  if (opened !== null && !('fault' in opened))
    heads.push({ size: opened.checkpoint.size, root: opened.checkpoint.root.toString('hex'), from });
  return heads;
};
