import { describe, expect, test } from 'vitest';
import { fhirAuditEvent, profiles } from '../../../../src/core/audit/fhir.ts';
import type { AuditEvent } from '../../../../src/core/events.ts';
import { everyAction, fixedEvent, fixedId } from '../../../support/audit-events.ts';

const INSTALLATION = fixedId(900);

type Coding = { readonly system: string; readonly code: string };
type Agent = {
  readonly type: { readonly coding: readonly Coding[] };
  readonly who?: object;
  readonly requestor: boolean;
  readonly network?: object;
};
type Entity = {
  readonly type: Coding;
  readonly role?: Coding;
  readonly what?: { readonly type?: string; readonly identifier?: { readonly value: string } };
  readonly query?: string;
  readonly [element: string]: unknown;
};
type Resource = {
  readonly resourceType: string;
  readonly id: string;
  readonly meta?: { readonly profile: readonly string[] };
  readonly type: Coding;
  readonly subtype: readonly Coding[];
  readonly action: string;
  readonly recorded: string;
  readonly outcome: string;
  readonly agent: readonly Agent[];
  readonly source: { readonly observer: object };
  readonly entity?: readonly Entity[];
};

const resourceOf = (event: AuditEvent): Resource => fhirAuditEvent(42, event, INSTALLATION) as Resource;

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const REST = { system: 'http://terminology.hl7.org/CodeSystem/audit-event-type', code: 'rest' };
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role';
const IRCP = { system: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType', code: 'IRCP' };
const [source, destination] = [
  { system: DCM, code: '110153' },
  { system: DCM, code: '110152' },
];

type Demand = {
  readonly type: Coding;
  readonly subtype: Coding;
  readonly action: string;
  /** Agents by the code of their type, each exactly once; who and network are demanded of each. */
  readonly agents: readonly Coding[];
  /** Entities by type and role, each exactly once, and the elements that are demanded or forbidden. */
  readonly entities: readonly {
    readonly type: string;
    readonly role: readonly string[];
    readonly has: readonly string[];
    readonly lacks: readonly string[];
  }[];
};

const patient = {
  type: '1',
  role: ['1'],
  has: ['what'],
  lacks: ['lifecycle', 'securityLabel', 'name', 'query', 'detail'],
};
const data = {
  type: '2',
  role: ['3', '4', '20'],
  has: ['what'],
  lacks: ['lifecycle', 'name', 'query', 'detail'],
};
const query = { type: '2', role: ['24'], has: ['query'], lacks: ['what', 'lifecycle', 'detail'] };

const reading = {
  type: REST,
  subtype: { system: 'http://hl7.org/fhir/restful-interaction', code: 'read' },
  action: 'R',
  agents: [destination, source],
} as const;
const querying = {
  type: REST,
  subtype: { system: 'http://hl7.org/fhir/restful-interaction', code: 'search' },
  action: 'E',
  agents: [source, destination],
} as const;

/** What each profile demands, written down from the differential and snapshot tables of BALP 1.1 (FHIR R4). */
const demands: Readonly<Record<string, Demand>> = {
  // https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.Read.html
  [profiles.read]: { ...reading, entities: [data] },
  // https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.PatientRead.html
  [profiles.patientRead]: { ...reading, entities: [data, patient] },
  // https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.Query.html
  [profiles.query]: { ...querying, entities: [query] },
  // https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.PatientQuery.html
  [profiles.patientQuery]: { ...querying, entities: [query, patient] },
  // https://profiles.ihe.net/ITI/BALP/StructureDefinition-IHE.BasicAudit.PrivacyDisclosure.Source.html
  [profiles.disclosure]: {
    type: { system: DCM, code: '110106' },
    subtype: { system: 'http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle', code: 'disclose' },
    action: 'R',
    agents: [source, destination],
    entities: [data, { ...patient, lacks: [] }],
  },
};

const isOf = (wanted: Coding) => (one: Coding | undefined) =>
  one?.system === wanted.system && one.code === wanted.code;

/** What AuditEvent itself demands: https://hl7.org/fhir/R4/auditevent.html#resource */
const expectAuditEvent = (resource: Resource): void => {
  expect(resource.resourceType).toBe('AuditEvent');
  expect(resource.id).toMatch(/^[A-Za-z0-9.-]{1,64}$/);
  expect(resource.type).toMatchObject({ system: expect.stringMatching(/^http/), code: expect.any(String) });
  expect(resource.action).toMatch(/^[CRUDE]$/);
  expect(resource.outcome).toMatch(/^(0|4|8|12)$/);
  expect(resource.recorded).toBe('2025-11-21T10:00:00.000Z');
  expect(resource.agent.length).toBeGreaterThan(0);
  for (const { requestor } of resource.agent) expect(requestor).toEqual(expect.any(Boolean));
  expect(Object.keys(resource.source.observer).length).toBeGreaterThan(0);
  // FHIR has no empty element and no null.
  expect(JSON.stringify(resource)).not.toMatch(/null|\[\]|\{\}|""/);
};

const expectProfile = (resource: Resource, profile: string): void => {
  const demand = demands[profile]!;
  expect(resource.meta?.profile).toEqual([profile]);
  expect(resource.type).toMatchObject(demand.type);
  expect(resource.subtype.filter(isOf(demand.subtype))).toHaveLength(1);
  expect(resource.action).toBe(demand.action);
  expect(resource.outcome).toBe('0');
  expect(resource).not.toHaveProperty('modifierExtension');
  for (const type of demand.agents) {
    const found = resource.agent.filter((agent) => agent.type.coding.some(isOf(type)));
    expect(found).toHaveLength(1);
    expect(Object.keys(found[0]!)).toEqual(expect.arrayContaining(['who', 'network']));
    for (const absent of ['role', 'altId', 'name', 'location', 'policy', 'media', 'purposeOfUse'])
      expect(found[0]).not.toHaveProperty(absent);
  }
  const users = resource.agent.filter((agent) => agent.type.coding.some(isOf(IRCP)));
  expect(users.length).toBeLessThanOrEqual(1);
  for (const user of users) {
    expect(user).toMatchObject({ requestor: true, who: expect.any(Object) });
    expect(user).not.toHaveProperty('network');
  }
  for (const { type, role, has, lacks } of demand.entities) {
    const found = (resource.entity ?? []).filter((one) =>
      isOf({ system: ENTITY_TYPE, code: type })(one.type),
    );
    expect(found).toHaveLength(1);
    expect(found[0]!.role).toMatchObject({
      system: OBJECT_ROLE,
      code: expect.stringMatching(`^(${role.join('|')})$`),
    });
    for (const element of has) expect(found[0]).toHaveProperty(element);
    for (const element of lacks) expect(found[0]).not.toHaveProperty(element);
  }
};

/** An action that the log does not have yet, but whose mapping is fixed. */
const exported = {
  ...fixedEvent('recording.viewed'),
  action: 'recording.exported',
  detail: {},
} as unknown as AuditEvent;

describe('profiles of BALP', () => {
  test.each([
    ['a playback', fixedEvent('playback.opened'), profiles.patientRead],
    ['facts that were shown', fixedEvent('recording.viewed'), profiles.patientRead],
    [
      'facts of a recording of nobody known',
      fixedEvent('recording.viewed', { subject: null }),
      profiles.read,
    ],
    ['a search for a patient', fixedEvent('recordings.searched', { recording: null }), profiles.patientQuery],
    [
      'a search for no patient',
      fixedEvent('recordings.searched', { recording: null, subject: null }),
      profiles.query,
    ],
    ['a disclosure', exported, profiles.disclosure],
  ] as const)('%s has what its profile demands', (_, event, profile) => {
    const resource = resourceOf(event as AuditEvent);
    expectAuditEvent(resource);
    expectProfile(resource, profile);
  });

  test.each(['denied', 'failed'] as const)(
    'what was %s claims none: they are of what succeeded',
    (outcome) => {
      const resource = resourceOf(fixedEvent('playback.opened', { outcome }));
      expectAuditEvent(resource);
      expect(resource).not.toHaveProperty('meta');
      expect(resource.outcome).not.toBe('0');
    },
  );

  test('in a disclosure the vault is the source agent and the observer alike (val-audit-source)', () => {
    const { agent, source: observed } = resourceOf(exported);
    const from = agent.find(({ type }) => type.coding.some(isOf(source!)));
    expect(from?.who).toEqual(observed.observer);
  });
});

describe.each(everyAction)('%s', (action) => {
  test('is an AuditEvent, with all it may lack as without', () => {
    expectAuditEvent(resourceOf(fixedEvent(action)));
    const bare = fixedEvent(action, {
      actor: { type: 'system', id: null, role: null },
      organisation: null,
      unit: null,
      recording: null,
      subject: null,
      purpose: null,
      session: null,
      request: null,
    } as never);
    expectAuditEvent(resourceOf(bare));
  });

  test('names its place in the log and its own word', () => {
    const resource = resourceOf(fixedEvent(action));
    expect(resource).toMatchObject({ extension: [{ url: 'urn:callvault:seq', valueString: '42' }] });
    expect(resource.subtype.filter(isOf({ system: 'urn:callvault:action', code: action }))).toHaveLength(1);
  });
});

test('a patient is named by the pseudonymous key alone, within her care giver', () => {
  const { entity } = resourceOf(fixedEvent('playback.opened'));
  expect(entity?.filter(isPerson)).toEqual([
    {
      type: { system: ENTITY_TYPE, code: '1' },
      role: { system: OBJECT_ROLE, code: '1', display: 'Patient' },
      what: {
        type: 'Patient',
        identifier: { system: `urn:callvault:subject:${fixedId(2)}`, value: 'v1.c3ViamVjdA' },
      },
    },
  ]);
});
const isPerson = ({ type }: Entity): boolean => type.code === '1';

test('what was searched by is in it, by kind; all results are', () => {
  const { entity } = resourceOf(fixedEvent('recordings.searched', { recording: null }));
  const asked = entity?.find((one) => one.query !== undefined);
  expect(JSON.parse(Buffer.from(asked?.query ?? '', 'base64').toString())).toEqual({
    criteria: ['caller', 'from'],
  });
  const results = entity?.flatMap(({ type, what }) => (type.code === '4' ? [what?.identifier?.value] : []));
  expect(results).toEqual([`urn:uuid:${fixedId(11)}`, `urn:uuid:${fixedId(12)}`]);
});

test('free text of people stays out, hostile or not', () => {
  const reason = '</div><script>"070-174 06 05"';
  for (const event of [
    fixedEvent('playback.opened', { detail: { playback: fixedId(13), reason, expiresAt: 0 } }),
    fixedEvent('hold.placed', { detail: { hold: fixedId(14), reason } }),
  ] as AuditEvent[])
    expect(JSON.stringify(resourceOf(event))).not.toContain('script');
});
