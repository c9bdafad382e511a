import type { Party } from './metadata-schema.ts';
import { below, childrenNamed, type XmlElement } from './xml-document.ts';

/** A value, and the element that it is from. */
export type Said = { readonly text: string; readonly where: string };
export type Numbers = { readonly caller: Said | null; readonly called: Said | null };
export type Role = 'calling' | 'called' | 'other';
/** By the ids of participants. */
export type Roles = ReadonlyMap<string, Role>;

const MAX_CHANNELS = 8;

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/**
 * Who an address is (`"Anna" <sip:0701740605@10.0.0.1;user=phone>`, `tel:+46…`, `0701740605@host`): what stands before the host.
 * Empty for a caller who withholds the number (RFC 3323), whatever the address says besides.
 */
export const numberOfAddress = (address: string): string => {
  const inBrackets = /<([^<>]*)>/.exec(address)?.[1] ?? address;
  if (/@anonymous\.invalid\b/i.test(inBrackets)) return '';
  const withoutScheme = inBrackets.trim().replace(/^(?:sips?|tel):/i, '');
  return decoded(withoutScheme.split(/[@;?:]/, 1)[0] as string).trim();
};

type Participant = {
  readonly id: string;
  readonly number: Said | null;
  /** Oracle says it; null: nobody does. */
  readonly calling: boolean | null;
};

/** Oracle puts headers of the call beside the participant: `<header label="P-Asserted-Identity"><value>…`. */
const assertedIdentity = (participant: XmlElement): XmlElement | undefined =>
  [...below(participant, 'header')]
    .filter(({ attributes }) => attributes.get('label')?.toLowerCase() === 'p-asserted-identity')
    .flatMap((header) => childrenNamed(header, 'value'))[0];

const numberOf = (participant: XmlElement): Said | null => {
  const addresses = [
    ...childrenNamed(participant, 'nameID').map((name) => ({
      text: name.attributes.get('aor') ?? '',
      where: name.path,
    })),
    ...childrenNamed(participant, 'aor').map(({ text, path }) => ({ text, where: path })),
  ].filter(({ text }) => text !== '');
  // Of several, one that is dialled.
  const best = addresses.find(({ text }) => /\d{3}/.test(numberOfAddress(text))) ?? addresses[0];
  if (best !== undefined) return { text: numberOfAddress(best.text), where: best.where };
  const asserted = assertedIdentity(participant);
  return asserted === undefined ? null : { text: numberOfAddress(asserted.text), where: asserted.path };
};

const callingOf = (participant: XmlElement): boolean | null => {
  const [said] = below(participant, 'callingParty');
  return said?.text === 'true' ? true : said?.text === 'false' ? false : null;
};

const idOf = (element: XmlElement): string =>
  element.attributes.get('participant_id') ?? element.attributes.get('id') ?? '';

/** In the order in which they joined, where that is told of all; otherwise in that of the document. */
const participants = (root: XmlElement): Participant[] => {
  const joined = new Map<string, number>();
  for (const association of childrenNamed(root, 'participantsessionassoc')) {
    const at = Date.parse(childrenNamed(association, 'associate-time')[0]?.text ?? '');
    const id = idOf(association);
    if (!Number.isNaN(at)) joined.set(id, Math.min(at, joined.get(id) ?? at));
  }
  const found = new Map<string, Participant>();
  for (const element of childrenNamed(root, 'participant')) {
    const id = idOf(element);
    if (!found.has(id)) found.set(id, { id, number: numberOf(element), calling: callingOf(element) });
  }
  const all = [...found.values()];
  const isKnown = all.every(({ id }) => joined.has(id));
  return isKnown ? all.toSorted((a, b) => (joined.get(a.id) ?? 0) - (joined.get(b.id) ?? 0)) : all;
};

const address = (element: XmlElement | undefined): Said | null =>
  element === undefined || element.text === ''
    ? null
    : { text: numberOfAddress(element.text), where: element.path };

/** Extensions that say outright who called whom: Ribbon's callData, BroadWorks' callType. */
const outright = (root: XmlElement): Numbers => {
  const [from, to] = ['fromhdr', 'tohdr'].map((name) => address([...below(root, name)][0]));
  const [calling, called] = ['callingPartyNumber', 'calledPartyNumber'].map((name) =>
    address([...below(root, name)][0]),
  );
  return { caller: from ?? calling ?? null, called: to ?? called ?? null };
};

const otherOf = { calling: 'called', called: 'calling' } as const;

const rolesOf = (all: readonly Participant[], said: Numbers): Roles => {
  const roles = new Map<string, Role>();
  const give = (participant: Participant | undefined, role: Role): void => {
    if (participant !== undefined && ![...roles.values()].includes(role)) roles.set(participant.id, role);
  };
  const isSaid = said.caller !== null || said.called !== null;
  if (all.some(({ calling }) => calling !== null))
    for (const participant of all) {
      if (participant.calling !== null) give(participant, participant.calling ? 'calling' : 'called');
    }
  else if (isSaid) {
    give(
      all.find(({ number }) => number?.text === said.caller?.text),
      'calling',
    );
    give(
      all.find(({ id, number }) => !roles.has(id) && number?.text === said.called?.text),
      'called',
    );
  } else {
    give(all[0], 'calling');
    give(all[1], 'called');
  }
  // Of two, the one that nothing is said of is the other.
  const [known] = roles.values();
  if (all.length === 2 && roles.size === 1 && (known === 'calling' || known === 'called'))
    give(
      all.find(({ id }) => !roles.has(id)),
      otherOf[known],
    );
  if (roles.size > 0) for (const { id } of all) if (!roles.has(id)) roles.set(id, 'other');
  return roles;
};

/**
 * Who called whom: as an extension says outright, and otherwise, as the standard has no word for it, by the order in which
 * participants joined.
 */
export const participantsOf = (root: XmlElement): { readonly numbers: Numbers; readonly roles: Roles } => {
  const all = participants(root);
  const said = outright(root);
  const roles = rolesOf(all, said);
  const numberIn = (role: Role): Said | null => all.find(({ id }) => roles.get(id) === role)?.number ?? null;
  return {
    numbers: { caller: said.caller ?? numberIn('calling'), called: said.called ?? numberIn('called') },
    roles,
  };
};

/** The two sides of a call by its direction; without one nobody knows which of them is the agent. */
const partiesOf = (direction: unknown): Readonly<Record<Role, Party>> => {
  if (direction === 'inbound') return { calling: 'caller', called: 'agent', other: 'other' };
  if (direction === 'outbound') return { calling: 'agent', called: 'other', other: 'other' };
  return { calling: 'caller', called: 'other', other: 'other' };
};

/** RFC 7865 names streams in associations of their own; the drafts name them in the participant, as text or as `id`. */
const sendersOf = (root: XmlElement): ReadonlyMap<string, ReadonlySet<string>> => {
  const senders = new Map<string, Set<string>>();
  for (const element of childrenNamed(root, 'participantstreamassoc', 'participant'))
    for (const send of childrenNamed(element, 'send')) {
      const stream = childrenNamed(send, 'id')[0]?.text ?? send.text;
      senders.set(stream, (senders.get(stream) ?? new Set()).add(idOf(element)));
    }
  return senders;
};

/**
 * Party by channel: streams with a label, in the order of the metadata, are the channels of the recording. Null where there are
 * none, more than eight, or one of which nobody says who speaks on it.
 */
export const channelsOf = (
  root: XmlElement,
  roles: Roles,
  direction: unknown,
): Record<string, Party> | null => {
  const senders = sendersOf(root);
  const parties = partiesOf(direction);
  const streams = childrenNamed(root, 'stream').filter((stream) => childrenNamed(stream, 'label')[0]?.text);
  if (streams.length === 0 || streams.length > MAX_CHANNELS) return null;
  const channels: Record<string, Party> = {};
  for (const [channel, stream] of streams.entries()) {
    const id = stream.attributes.get('stream_id') ?? stream.attributes.get('id') ?? '';
    const [speaker, ...more] = senders.get(id) ?? [];
    const role = speaker === undefined ? undefined : roles.get(speaker);
    if (role === undefined) return null;
    channels[channel] = more.length > 0 ? 'mixed' : parties[role];
  }
  return channels;
};
