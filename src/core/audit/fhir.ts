import type { AuditAction, AuditEvent, Outcome, Purpose } from '../events.ts';

/**
 * Entries as FHIR R4 AuditEvents (https://hl7.org/fhir/R4/auditevent.html), after the IHE Basic Audit Log Patterns
 * (https://profiles.ihe.net/ITI/BALP/). A view for those who collect such: what is committed to is the entry. The patient is
 * named by the pseudonymous subject key alone, and free text of people stays out.
 */
export const FHIR_TYPE = 'application/fhir+ndjson';

const PROFILES = 'https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.';
export const profiles = {
  read: `${PROFILES}Read`,
  patientRead: `${PROFILES}PatientRead`,
  query: `${PROFILES}Query`,
  patientQuery: `${PROFILES}PatientQuery`,
  disclosure: `${PROFILES}PrivacyDisclosure.Source`,
} as const;

type Coding = { readonly system: string; readonly code: string; readonly display?: string };

const DICOM = 'http://dicom.nema.org/resources/ontology/DCM';
const EVENT_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-event-type';
const INTERACTION = 'http://hl7.org/fhir/restful-interaction';
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role';
const ACT_REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';
const PARTICIPATION = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType';
const TRANSACTION = 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType';
const SOURCE_TYPE = 'http://terminology.hl7.org/CodeSystem/security-source-type';
const LIFECYCLE = 'http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle';
const ABSENT = 'http://hl7.org/fhir/StructureDefinition/data-absent-reason';

const coding = (system: string, code: string, display: string): Coding => ({ system, code, display });

const rest = coding(EVENT_TYPE, 'rest', 'Restful Operation');
const sourceRole = coding(DICOM, '110153', 'Source Role ID');
const destinationRole = coding(DICOM, '110152', 'Destination Role ID');

/** An entry's kind of resource: which profile it follows when it succeeded, with a patient and without. */
type Kind = 'read' | 'query' | 'disclosure' | 'basic';

/**
 * `recording.exported` is what a copy for a patient or an authority will be called (docs/audit-log.md does not have it yet);
 * its mapping is here so that the first of them is a disclosure and not a basic event.
 */
const kinds: Partial<Record<AuditAction | 'recording.exported', Kind>> = {
  'recording.viewed': 'read',
  'playback.opened': 'read',
  'recordings.searched': 'query',
  'recording.exported': 'disclosure',
};

const basicTypes: readonly (readonly [RegExp, Coding])[] = [
  [/^session\./, coding(DICOM, '110114', 'User Authentication')],
  [/^log\./, coding(DICOM, '110101', 'Audit Log Used')],
  [/^(user|source)\.changed$/, coding(DICOM, '110137', 'User Security Attributes Changed')],
  [/[._]denied$/, coding(DICOM, '110113', 'Security Alert')],
  [/^recording\.stored$/, coding(DICOM, '110107', 'Import')],
  [/^keys\.exported$/, coding(DICOM, '110106', 'Export')],
  [/./, coding(DICOM, '110100', 'Application Activity')],
];

const actionCodes: readonly (readonly [RegExp, 'C' | 'R' | 'U' | 'D'])[] = [
  [/\.(stored|created|placed)$/, 'C'],
  [/\.(viewed|heard|read|verified|exported|key_opened)$|^playback\.opened$/, 'R'],
  [/\.(changed|rotated|released|assigned)$/, 'U'],
  [/\.(erased|abandoned)$/, 'D'],
];

/** https://hl7.org/fhir/R4/valueset-audit-event-outcome.html */
const outcomeCodes: Record<Outcome, string> = { success: '0', denied: '4', failed: '8' };

const reasons: Record<Purpose, Coding> = {
  care: coding(ACT_REASON, 'TREAT', 'treatment'),
  quality: coding(ACT_REASON, 'HQUALIMP', 'health quality improvement'),
  complaint: coding(ACT_REASON, 'HOPERAT', 'healthcare operations'),
  patient_request: coding(ACT_REASON, 'PATRQT', 'patient requested'),
  supervision: coding(ACT_REASON, 'HCOMPL', 'health compliance'),
  technical: coding(ACT_REASON, 'HSYSADMIN', 'health system administration'),
};

const purposeOf = ({ purpose }: AuditEvent): object =>
  purpose === null
    ? {}
    : {
        purposeOfEvent: [{ coding: [reasons[purpose], { system: 'urn:callvault:purpose', code: purpose }] }],
      };

const uuidReference = (id: string): object => ({
  identifier: { system: 'urn:ietf:rfc:3986', value: `urn:uuid:${id}` },
});

/** The network address of a caller is in no entry, and it is said so rather than left out: the profiles demand the element. */
const unknownNetwork = { extension: [{ url: ABSENT, valueCode: 'unknown' }] };

/** The application: known to the log by the session it was given. */
const clientAgent = ({ session }: AuditEvent, role: Coding): object => ({
  type: { coding: [role] },
  who:
    session === null
      ? { display: 'not known' }
      : { identifier: { system: 'urn:callvault:session', value: session } },
  requestor: false,
  network: unknownNetwork,
});

const serverAgent = (installation: string, role: Coding): object => ({
  type: { coding: [role] },
  who: uuidReference(installation),
  requestor: false,
  network: { address: `urn:uuid:${installation}`, type: '5' },
});

/** The person, telephony system or operator. Nobody where the vault acted by itself or knew no one. */
const userAgent = ({ actor, purpose }: AuditEvent): readonly object[] =>
  actor.id === null
    ? []
    : [
        {
          type: { coding: [coding(PARTICIPATION, 'IRCP', 'information recipient')] },
          who: { identifier: { system: `urn:callvault:${actor.type}`, value: actor.id } },
          requestor: true,
          ...(actor.role === null
            ? {}
            : { role: [{ coding: [{ system: 'urn:callvault:role', code: actor.role }] }] }),
          ...(purpose === null ? {} : { purposeOfUse: [{ coding: [reasons[purpose]] }] }),
        },
      ];

/** In a query the profiles have the client as source (of the question); in everything else it is where the data goes. */
const agentsOf = (event: AuditEvent, kind: Kind, installation: string): readonly object[] => [
  clientAgent(event, kind === 'query' ? sourceRole : destinationRole),
  serverAgent(installation, kind === 'query' ? destinationRole : sourceRole),
  ...userAgent(event),
];

const objectEntity = (type: string, role: Coding, more: object): object => ({
  type: { system: ENTITY_TYPE, code: type },
  role,
  ...more,
});

const recordingEntity = (type: '2' | '4', recording: string): object =>
  objectEntity(type, coding(OBJECT_ROLE, '4', 'Domain Resource'), { what: uuidReference(recording) });

/**
 * What was asked, by kinds of criteria alone: the terms are in no entry. Results are of type "other", for the profile allows
 * one system object, which is the query.
 */
const queryEntities = (event: AuditEvent): readonly object[] => {
  if (event.action !== 'recordings.searched') return [];
  const { criteria, count, results } = event.detail;
  const asked = JSON.stringify({ criteria });
  const query = objectEntity('2', coding(OBJECT_ROLE, '24', 'Query'), {
    description: `criteria: ${criteria.join(', ') || 'none'}; found: ${count}`,
    query: Buffer.from(asked).toString('base64'),
  });
  return [query, ...results.map((recording) => recordingEntity('4', recording))];
};

const patientEntity = ({ subject, organisation }: AuditEvent): readonly object[] =>
  subject === null
    ? []
    : [
        objectEntity('1', coding(OBJECT_ROLE, '1', 'Patient'), {
          what: {
            type: 'Patient',
            // A key is one patient's within one care giver.
            identifier: { system: `urn:callvault:subject:${organisation ?? 'none'}`, value: subject },
          },
        }),
      ];

const requestEntity = ({ request }: AuditEvent): readonly object[] =>
  request === null
    ? []
    : [{ type: { system: TRANSACTION, code: 'XrequestId' }, what: { identifier: { value: request } } }];

const entitiesOf = (event: AuditEvent): object => {
  const entity = [
    ...(event.recording === null ? [] : [recordingEntity('2', event.recording)]),
    ...queryEntities(event),
    ...patientEntity(event),
    ...requestEntity(event),
  ];
  return entity.length === 0 ? {} : { entity };
};

/** A profile is claimed only by what has all that it demands: they describe what succeeded, for one patient or for none. */
const profileOf = (event: AuditEvent, kind: Kind): string | null => {
  if (event.outcome !== 'success' || kind === 'basic') return null;
  const patient = event.subject !== null;
  if (kind === 'query') return patient ? profiles.patientQuery : profiles.query;
  if (event.recording === null) return null;
  if (kind === 'disclosure') return patient ? profiles.disclosure : null;
  return patient ? profiles.patientRead : profiles.read;
};

const kindOf = ({ action }: AuditEvent): Kind => kinds[action] ?? 'basic';

const typeOf = (event: AuditEvent, kind: Kind): Coding => {
  if (kind === 'disclosure') return coding(DICOM, '110106', 'Export');
  if (kind !== 'basic') return rest;
  return (basicTypes.find(([pattern]) => pattern.test(event.action)) as [RegExp, Coding])[1];
};

const subtypes: Record<Kind, readonly Coding[]> = {
  read: [coding(INTERACTION, 'read', 'read')],
  query: [coding(INTERACTION, 'search', 'search')],
  disclosure: [coding(LIFECYCLE, 'disclose', 'Disclose Record Lifecycle Event')],
  basic: [],
};

const actionOf = (event: AuditEvent, kind: Kind): string =>
  kind === 'query' ? 'E' : (actionCodes.find(([pattern]) => pattern.test(event.action))?.[1] ?? 'E');

/** One entry as a resource. `installation` is the vault's own id, a UUID. */
export const fhirAuditEvent = (seq: number, event: AuditEvent, installation: string): object => {
  const kind = kindOf(event);
  const profile = profileOf(event, kind);
  return {
    resourceType: 'AuditEvent',
    id: event.id,
    ...(profile === null ? {} : { meta: { profile: [profile] } }),
    // Where it stands in the log, and so where its proof is found.
    extension: [{ url: 'urn:callvault:seq', valueString: String(seq) }],
    type: typeOf(event, kind),
    subtype: [...subtypes[kind], { system: 'urn:callvault:action', code: event.action }],
    action: actionOf(event, kind),
    recorded: new Date(event.at).toISOString(),
    outcome: outcomeCodes[event.outcome],
    ...purposeOf(event),
    agent: agentsOf(event, kind, installation),
    source: {
      observer: uuidReference(installation),
      type: [coding(SOURCE_TYPE, '4', 'Application Server')],
    },
    ...entitiesOf(event),
  };
};
