import type { Audience, LogSearch } from '../src/audit/reader.ts';
import { formatCursor } from '../src/audit/search.ts';
import type { UserActor } from '../src/core/access.ts';
import {
  ARCHIVE,
  idOf,
  ORGANISATIONS,
  PEOPLE_EACH,
  patientOf,
  recordingFacts,
  timeOf,
  UNITS_EACH,
} from './log-events.ts';

/** What a compliance officer asks of the bench's log: for the largest organisation, the smallest, and one without listeners. */
export type Asked = { readonly name: string; readonly audience: Audience; readonly query: LogSearch };

const organisationOf = (n: number): Audience => ({
  scope: 'organisation',
  organisation: idOf('organisation', n),
});
const LARGEST = 0;
const SMALLEST = ORGANISATIONS - 2;

const officerOf = (n: number): UserActor =>
  ({ role: 'compliance', organisation: idOf('organisation', n) }) as unknown as UserActor;

/** A page far down: what happened in the first third. */
export const deepCursor = (entries: number): string =>
  formatCursor({ at: timeOf(entries / 3, entries), seq: Math.floor(entries / 3) });

/** The first recording after the first whose organisation it is. */
const recordingIn = (organisation: number, entries: number): number => {
  for (let n = 1; ; n += 1) if (recordingFacts(n, entries).organisation === organisation) return n;
};

const patientIn = (organisation: number, entries: number): string =>
  patientOf(recordingFacts(recordingIn(organisation, entries), entries).patient);

const personOf = (organisation: number, n: number): string => idOf('person', organisation * PEOPLE_EACH + n);

type Fields = Omit<LogSearch, 'audience' | 'cursor' | 'limit'>;

const ofLargest = (entries: number): readonly (readonly [string, Fields])[] => {
  const middle = timeOf(entries / 2, entries);
  const day = { from: middle, to: middle + 86_400_000 };
  return [
    ['everything', {}],
    ['the busiest person', { actor: personOf(LARGEST, 0) }],
    ['a person', { actor: personOf(LARGEST, PEOPLE_EACH / 2) }],
    ['the telephone system', { actor: idOf('source', LARGEST) }],
    ['the recording heard most', { recording: idOf('recording', 0) }],
    ['a recording', { recording: idOf('recording', recordingIn(LARGEST, entries)) }],
    ['a patient', { subject: patientIn(LARGEST, entries) }],
    ['a patient who calls every week', { subject: patientOf(0) }],
    [
      'a patient under three versions of the key',
      { subjects: [patientOf(1), patientOf(2).replace('1:', '2:'), patientOf(3).replace('1:', '3:')] },
    ],
    ['the busiest unit', { unit: idOf('unit', LARGEST) }],
    ['a unit', { unit: idOf('unit', LARGEST + UNITS_EACH - 1) }],
    ['an action that happens all day', { action: 'playback.opened' }],
    ['a rare action', { action: 'hold.placed' }],
    ['an action that never happened', { action: 'recording.key_opened' }],
    ['usual and rare actions', { actions: ['playback.opened', 'recording.erased', 'hold.placed'] }],
    ['outcome: success', { outcome: 'success' }],
    ['outcome: denied', { outcome: 'denied' }],
    ['outcome: failed', { outcome: 'failed' }],
    ['purpose: care', { purpose: 'care' }],
    ['purpose: quality', { purpose: 'quality' }],
    ['a purpose that was never given', { purpose: 'supervision' }],
    ['a day', day],
    ['a person on a day', { ...day, actor: personOf(LARGEST, 1) }],
    ['what a person was refused', { actor: personOf(LARGEST, 0), outcome: 'denied' }],
    ['holds by a person', { actor: personOf(LARGEST, 0), action: 'hold.placed' }],
    ['a unit, refused', { unit: idOf('unit', LARGEST), outcome: 'denied' }],
    ['a patient, heard', { subject: patientOf(0), action: 'playback.heard' }],
  ];
};

const ofSmallest = (): readonly (readonly [string, Fields])[] => [
  ['everything, small organisation', {}],
  ['a person, small organisation', { actor: personOf(SMALLEST, PEOPLE_EACH / 2) }],
  ['a unit, small organisation', { unit: idOf('unit', SMALLEST * UNITS_EACH + 2) }],
  ['a usual action, small organisation', { action: 'playback.heard' }],
  ['a rare action, small organisation', { action: 'log.exported' }],
  ['outcome: failed, small organisation', { outcome: 'failed' }],
  ['purpose: complaint, small organisation', { purpose: 'complaint' }],
];

const ofArchive = (): readonly (readonly [string, Fields])[] => [
  ['what was heard, where nobody listens', { action: 'playback.opened' }],
  ['purpose: care, where nobody listens', { purpose: 'care' }],
  ['outcome: denied, where nobody listens', { outcome: 'denied' }],
];

export const askedOf = (entries: number): readonly Asked[] => {
  const of =
    (audience: Audience) =>
    ([name, fields]: readonly [string, Fields]): Asked => ({
      name,
      audience,
      query: { audience, ...fields },
    });
  return [
    ...ofLargest(entries).map(of(organisationOf(LARGEST))),
    ...ofSmallest().map(of(organisationOf(SMALLEST))),
    ...ofArchive().map(of(organisationOf(ARCHIVE))),
    ...(
      [
        ['everything of the installation', {}],
        ['refused sessions', { action: 'session.refused' }],
      ] as const
    ).map(of({ scope: 'installation' })),
  ];
};

const inLargest = { officer: officerOf(LARGEST), audience: organisationOf(LARGEST) };

/** The two questions. */
export const question = {
  recordings: (entries: number) => [
    { ...inLargest, name: 'the recording heard most', recording: idOf('recording', 0) },
    { ...inLargest, name: 'a recording', recording: idOf('recording', recordingIn(LARGEST, entries)) },
  ],
  actors: (entries: number) => {
    const lastYear = { from: timeOf((5 / 6) * entries, entries) };
    return [
      { ...inLargest, name: 'a person', id: personOf(LARGEST, PEOPLE_EACH / 2), period: {} },
      { ...inLargest, name: 'the busiest person', id: personOf(LARGEST, 0), period: {} },
      {
        ...inLargest,
        name: 'the busiest person in the last year',
        id: personOf(LARGEST, 0),
        period: lastYear,
      },
      { ...inLargest, name: 'the telephone system', id: idOf('source', LARGEST), period: {} },
    ];
  },
};
