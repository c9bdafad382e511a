import { instantOfText } from './instant-text.ts';
import type { WallClock } from './local-time.ts';
import { channelsOf, type Numbers, participantsOf, type Said } from './siprec-parties.ts';
import { below, childrenNamed, type XmlElement } from './xml-document.ts';

/**
 * What recording metadata of SIPREC says of a call (RFC 7865), from the standard's own elements, from the drafts that makers
 * still send, and from the extensions of Oracle, Ribbon (Sonus) and BroadWorks. Elements count by their local names.
 */
export type SiprecField = 'callId' | 'startedAt' | 'endedAt' | 'callerNumber' | 'calledNumber' | 'channels';
export type SiprecCall = {
  /** In the form that the metadata has in JSON; whether the values are right is for `parseMetadata` to say. */
  readonly fields: Readonly<Partial<Record<SiprecField, unknown>>>;
  /** The element that each field is from. */
  readonly where: ReadonlyMap<string, string>;
  /** Fields that the metadata speaks of and that cannot be told from it: whoever says them otherwise need not mind. */
  readonly faults: readonly { readonly field: SiprecField; readonly where: string; readonly fault: string }[];
};

export const isSiprec = (root: XmlElement): boolean =>
  (root.name === 'recording' || root.name === 'recording_metadata') &&
  root.children.some(({ name }) => name === 'session' || name === 'participant');

const idOf = (element: XmlElement): Said | null => {
  const text = element.attributes.get(`${element.name}_id`) ?? element.attributes.get('id') ?? '';
  return text === '' ? null : { text, where: element.path };
};
const saidBy = (element: XmlElement | undefined, text = element?.text ?? ''): Said | null =>
  element === undefined || text === '' ? null : { text, where: element.path };
const isSaid = (said: Said | null): said is Said => said !== null;

/** By what the call may be known, the best first: what phones and PBX know it by, then what the recording client made up. */
const callIds = (root: XmlElement): readonly (readonly Said[])[] => {
  const sessions = childrenNamed(root, 'session');
  return [
    sessions.map((session) => saidBy(childrenNamed(session, 'sipSessionID').find(({ text }) => text !== ''))),
    [...below(root, 'callData')].flatMap((data) => childrenNamed(data, 'callid').map((id) => saidBy(id))),
    // Oracle writes 00FA…;encoding=hex.
    [...below(root, 'ucid')].map((id) => saidBy(id, id.text.split(';', 1)[0])),
    childrenNamed(root, 'group').map(idOf),
    sessions.map(idOf),
  ].map((said) => said.filter(isSaid));
};

const isOne = (said: readonly Said[]): boolean => new Set(said.map(({ text }) => text)).size === 1;

/** The times of one meaning: those of the session, and where it has none, of what is nearest to it. */
const times = (root: XmlElement, places: readonly (readonly [parent: string, name: string])[]) => {
  for (const [parent, name] of places) {
    const found = childrenNamed(root, parent).flatMap((element) =>
      childrenNamed(element, name).map((at) => saidBy(at)),
    );
    if (found.some(isSaid)) return found.filter(isSaid);
  }
  return [];
};

const STARTS = [
  ['session', 'start-time'],
  ['sessionrecordingassoc', 'associate-time'],
  ['session', 'associate-time'],
  ['stream', 'associate-time'],
  ['participantsessionassoc', 'associate-time'],
] as const;
const ENDS = [
  ['session', 'stop-time'],
  ['sessionrecordingassoc', 'disassociate-time'],
  ['session', 'disassociate-time'],
] as const;

const WITH_OFFSET = /(?:Z|[+-]\d\d:\d\d)$/i;
/** RFC 3339 goes on as it is: what is wrong with it, the metadata says. */
const readTime = ({ text, where }: Said, clock: WallClock | null): Said & { readonly fault?: string } => {
  const read = WITH_OFFSET.test(text) ? text : instantOfText(text, clock);
  if (read === 'zone') return { text, where, fault: 'has no zone' };
  return { text: read ?? text, where };
};

/**
 * Reads the metadata below `root` ({@link isSiprec}), which is attacker-controlled. `clock` places times without an offset, as
 * Oracle's; with null they become faults. `direction`, where somebody else knows it, tells who of the two is the agent.
 */
export const siprecCall = (
  root: XmlElement,
  { clock, direction }: { readonly clock: WallClock | null; readonly direction?: unknown },
): SiprecCall => {
  const fields: Partial<Record<SiprecField, unknown>> = {};
  const where = new Map<string, string>();
  const faults: { field: SiprecField; where: string; fault: string }[] = [];
  const take = (
    field: SiprecField,
    said: (Omit<Said, 'text'> & { readonly fault?: string }) | null,
    value: unknown,
  ) => {
    if (said === null || said === undefined) return;
    if (said.fault !== undefined) faults.push({ field, where: said.where, fault: said.fault });
    else {
      fields[field] = value;
      where.set(field, said.where);
    }
  };

  const ids = callIds(root);
  const id = ids.find(isOne)?.[0] ?? null;
  const many = id === null ? ids.find((said) => said.length > 0)?.[0] : undefined;
  if (many !== undefined)
    faults.push({
      field: 'callId',
      where: many.where,
      fault: 'names several calls, of which one has to be chosen',
    });
  take('callId', id, id?.text);

  const inOrder = (found: readonly Said[]) =>
    found.map((said) => readTime(said, clock)).toSorted((a, b) => Date.parse(a.text) - Date.parse(b.text));
  const start = inOrder(times(root, STARTS)).at(0) ?? null;
  const end = inOrder(times(root, ENDS)).at(-1) ?? null;
  take('startedAt', start, start?.text);
  take('endedAt', end, end?.text);

  const { numbers, roles } = participantsOf(root);
  for (const [field, said] of [
    ['callerNumber', numbers.caller],
    ['calledNumber', numbers.called],
  ] as const satisfies readonly (readonly [SiprecField, Numbers['caller']])[])
    take(field, said, said?.text);
  const channels = channelsOf(root, roles, direction);
  take('channels', channels === null ? null : { where: `${root.path}/stream` }, channels);
  return { fields, where, faults };
};
