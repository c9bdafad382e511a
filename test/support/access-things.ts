import { randomUUID } from 'node:crypto';
import { type ActorContext, type Relation, relationTo } from '../../src/core/access.ts';
import { jsonOf } from './http-client.ts';
import type { Person, Scene } from './scene.ts';

/** Somebody who asks: a role of the home organisation or the installation, or a stranger. */
export type Caller = {
  readonly name: string;
  readonly actor: ActorContext;
  readonly token: string;
  /** A person of this role for one request only, after which the account or its session is of no more use. */
  disposable(): Promise<Pick<Person, 'password'> & { readonly token: string }>;
};

/** What a route is asked about, and how near it is to a caller. */
export type Thing = {
  readonly about: string;
  readonly relation: (caller: Caller) => Relation;
  readonly params: Readonly<Record<string, string>>;
};

type Owner = { readonly organisation: string | null; readonly unit?: string };

export const thing = (about: string, owner: Owner, params: Thing['params']): Thing => ({
  about,
  params,
  relation: ({ actor }) => relationTo(actor, owner),
});
export const nothing = (...names: readonly string[]): Thing => ({
  about: 'nonexistent',
  relation: () => 'foreign',
  params: Object.fromEntries(names.map((name) => [name, randomUUID()])),
});
/** For routes without an id: what the caller itself belongs to. */
export const own = (relation: Thing['relation']): readonly Thing[] => [
  { about: 'own', relation, params: {} },
];
export const anyone = own(() => 'self');
export const atHome = own(({ actor }) => relationTo(actor, { organisation: actor.organisation }));

type Made = { readonly about: string; readonly owner: Owner & { unit: string }; readonly id: string };

/** A recording of each kind of place; of their own, so that what is done to them disturbs nobody. */
const newRecordings = async ({ stage, home, own, other, foreign, abroad }: Scene): Promise<Made[]> => {
  const make = async (about: string, organisation: typeof home, unit: string): Promise<Made> => {
    const { id } = await stage.recording(organisation.source, { careUnit: unit });
    return { about, owner: { organisation: organisation.id, unit }, id };
  };
  return [
    await make('own unit', home, own.id),
    await make('other unit', home, other.id),
    await make('other organisation', foreign, abroad.id),
  ];
};

export const recordings = async (scene: Scene): Promise<readonly Thing[]> => [
  ...(await newRecordings(scene)).map(({ about, owner, id }) => thing(about, owner, { id })),
  nothing('id'),
];

/** Recordings of which nobody knows whose they are. */
export const unassigned = async ({ stage, home, foreign }: Scene): Promise<readonly Thing[]> => {
  const make = async (about: string, { id: organisation, admin }: typeof home): Promise<Thing> => {
    const { id } = await stage.recording(await stage.source(admin), {});
    return thing(about, { organisation }, { id });
  };
  return [await make('own organisation', home), await make('other organisation', foreign), nothing('id')];
};

/** What became of an upload is for the source that made it. */
export const uploads = async (scene: Scene): Promise<readonly Thing[]> => {
  const neighbour = await scene.stage.source(scene.home.admin, scene.own.id);
  const { id } = await scene.stage.recording(neighbour, {});
  const mine = (source: string) => ({
    relation: ({ actor }: Caller): Relation => (actor.id === source ? 'self' : 'foreign'),
  });
  return [
    { about: 'own', params: { id: scene.own.recording.id }, ...mine(scene.home.source.id) },
    { about: 'other source', params: { id }, ...mine(neighbour.id) },
    {
      about: 'other organisation',
      params: { id: scene.abroad.recording.id },
      ...mine(scene.foreign.source.id),
    },
    nothing('id'),
  ];
};

export const holds = async (scene: Scene): Promise<readonly Thing[]> => {
  const place = async ({ about, owner, id }: Made): Promise<Thing> => {
    const { compliance } = owner.organisation === scene.home.id ? scene.home : scene.foreign;
    const reply = await scene.http.post(`/v1/recordings/${id}/holds`, {
      token: await compliance.token(),
      json: { reason: 'supervision' },
    });
    return thing(about, owner, { id, holdId: jsonOf<{ id: string }>(reply, 201).id });
  };
  return [...(await Promise.all((await newRecordings(scene)).map(place))), nothing('id', 'holdId')];
};

/** Playbacks belong to one session of one nurse. */
export const playbacks = async (scene: Scene): Promise<readonly Thing[]> => {
  const open = async (about: string, nurse: Person, recording: string): Promise<Thing> => {
    const asked = { token: await nurse.token(), json: { purpose: 'care' } };
    const reply = await scene.http.post(`/v1/recordings/${recording}/playbacks`, asked);
    const id = jsonOf<{ playbackId: string }>(reply, 201).playbackId;
    return { about, params: { id }, relation: ({ actor }) => (actor.id === nurse.id ? 'self' : 'foreign') };
  };
  const { own, other, abroad, stage, home } = scene;
  const colleague = await stage.user(home.admin, 'nurse', [own.id]);
  return [
    await open('own', own.nurse, own.recording.id),
    await open('colleague', colleague, own.recording.id),
    await open('other unit', other.nurse, other.recording.id),
    await open('other organisation', abroad.nurse, abroad.recording.id),
    nothing('id'),
  ];
};

/** Entries of the log: one that the organisation's compliance officer made by reading it, and one of no organisation. */
export const entries = async ({
  http,
  home,
  foreign,
  installationAuditor,
}: Scene): Promise<readonly Thing[]> => {
  const newest = async (about: string, organisation: string | null, reader: Person): Promise<Thing> => {
    const asked = { token: await reader.token(), json: { limit: 1 } };
    await http.post('/v1/audit/search', asked);
    const reply = await http.post('/v1/audit/search', asked);
    const [entry] = jsonOf<{ entries: { seq: number }[] }>(reply, 200).entries;
    return thing(about, { organisation }, { seq: String(entry?.seq) });
  };
  return [
    await newest('own organisation', home.id, home.compliance),
    await newest('other organisation', foreign.id, foreign.compliance),
    await newest('installation', null, installationAuditor),
    { ...nothing(), params: { seq: '999999999' } },
  ];
};

export const newOrganisation = (): unknown => ({
  name: randomUUID(),
  admin: { displayName: 'New', email: `${randomUUID()}@example.org` },
});

export const organisations = async ({ http, installationAdmin }: Scene): Promise<readonly Thing[]> => {
  const asked = { token: await installationAdmin.token(), json: newOrganisation() };
  const { organisation } = jsonOf<{ organisation: { id: string } }>(
    await http.post('/v1/admin/organisations', asked),
    201,
  );
  return [thing('installation', { organisation: null }, { id: organisation.id }), nothing('id')];
};

export const units = async ({ stage, home, foreign }: Scene): Promise<readonly Thing[]> => [
  thing('own organisation', { organisation: home.id }, { id: (await stage.unit(home.admin)).id }),
  thing('other organisation', { organisation: foreign.id }, { id: (await stage.unit(foreign.admin)).id }),
  nothing('id'),
];

export const users = async ({
  stage,
  home,
  foreign,
  installationAdmin,
}: Scene): Promise<readonly Thing[]> => {
  const make = async (about: string, organisation: string | null, admin: Person): Promise<Thing> => {
    const role = organisation === null ? 'installation_auditor' : 'compliance';
    return thing(about, { organisation }, { id: (await stage.user(admin, role)).id });
  };
  return [
    await make('own organisation', home.id, home.admin),
    await make('other organisation', foreign.id, foreign.admin),
    await make('installation', null, installationAdmin),
    nothing('id'),
  ];
};

export const sources = async ({ stage, home, foreign }: Scene): Promise<readonly Thing[]> => [
  thing('own organisation', { organisation: home.id }, { id: (await stage.source(home.admin)).id }),
  thing('other organisation', { organisation: foreign.id }, { id: (await stage.source(foreign.admin)).id }),
  nothing('id'),
];

export const newWebhook = (): unknown => ({
  url: 'https://192.0.9.1/callvault',
  events: ['recording.flagged'],
});

/** One of each organisation for the whole test, because an organisation has few. */
const webhookOf = new Map<string, Promise<string>>();
export const webhooks = async ({ http, home, foreign }: Scene): Promise<readonly Thing[]> => {
  const make = async (admin: Person): Promise<string> => {
    const reply = await http.post('/v1/admin/webhooks', { token: await admin.token(), json: newWebhook() });
    return jsonOf<{ webhook: { id: string } }>(reply, 201).webhook.id;
  };
  const of = async (about: string, { id: organisation, admin }: typeof home): Promise<Thing> => {
    const known = webhookOf.get(organisation) ?? make(admin);
    webhookOf.set(organisation, known);
    return thing(about, { organisation }, { id: await known });
  };
  return [await of('own organisation', home), await of('other organisation', foreign), nothing('id')];
};

export const tusVersion = { 'tus-resumable': '1.0.0' };
export const uuidBase64 = (): string => Buffer.from(randomUUID()).toString('base64');
/** Uploads that have begun; of the home source, of another of the organisation, and of another organisation's. */
export const unfinished = async ({ stage, http, home, own, foreign }: Scene): Promise<readonly Thing[]> => {
  const begin = async (about: string, { id: source, apiKey }: typeof home.source): Promise<Thing> => {
    const headers = { ...tusVersion, 'upload-length': '1000', 'upload-metadata': `callId ${uuidBase64()}` };
    const { location = '' } = (await http.post('/v1/uploads', { token: apiKey, headers })).headers;
    return {
      about,
      params: { id: location.split('/').at(-1) ?? '' },
      relation: ({ actor }) => (actor.id === source ? 'self' : 'foreign'),
    };
  };
  return [
    await begin('own', home.source),
    await begin('other source', await stage.source(home.admin, own.id)),
    await begin('other organisation', foreign.source),
    nothing('id'),
  ];
};
