import { pathText, plainName } from './call-of.ts';

/**
 * A path of the share for a person's eyes. Names are attacker-controlled: besides what steers a terminal, what turns the direction of
 * text, is invisible or ends a line is replaced, so that a name looks like no other and like no word of ours.
 */
export const shownName = (relative: Buffer): string =>
  plainName(pathText(relative)).replace(/[\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, '\ufffd');
