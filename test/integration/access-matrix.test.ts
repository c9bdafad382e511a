import type { FastifyPluginAsync } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ActorContext, actions, decide } from '../../src/core/access.ts';
import type { OrganisationId, SessionId, UnitId, UserId } from '../../src/core/ids.ts';
import { type Caller, cases, type Thing, withHeads } from '../support/access-cases.ts';
import { successes } from '../support/access-successes.ts';
import { generatedCall } from '../support/generated-call.ts';
import { createHttpClient, type HttpClient, jsonOf, type Reply, uploadForm } from '../support/http-client.ts';
import { type FoundRoute, type InProcessVault, startInProcess } from '../support/in-process-vault.ts';
import { expectProblem } from '../support/problems.ts';
import { buildScene, type Person, type Role, type Scene } from '../support/scene.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/**
 * PDL-2: every route that is registered × every role × everything that can be asked about. What comes is compared with
 * the table of core/access.ts, and, independently of it, with one that is written by hand.
 */
let vault: InProcessVault;
let http: HttpClient;
let scene: Scene;
let callers: Caller[];

type Answer = { readonly caller: Caller; readonly reply: Reply };
/** Key: "METHOD /pattern | about". */
const answers = new Map<string, Answer[]>();

const keyOf = ({ method, url }: FoundRoute): string => `${method} ${url}`;
const pathOf = (route: FoundRoute, { params }: Thing): string =>
  route.url.replace(/:(\w+)/g, (_all, name: string) => params[name] ?? 'missing') +
  (cases[keyOf(route)]?.query ?? '');

const personCaller = async (
  person: Person,
  units: readonly string[],
  home: string | null,
): Promise<Caller> => {
  const admin = home === null ? scene.installationAdmin : scene.home.admin;
  return {
    name: person.role,
    token: await person.token(),
    actor: {
      type: 'user',
      id: person.id as UserId,
      role: person.role,
      organisation: home as OrganisationId | null,
      units: units as UnitId[],
      session: 'unused' as SessionId,
    },
    disposable: async () => {
      const made = await scene.stage.user(admin, person.role, units);
      return { token: await made.token(), password: made.password };
    },
  };
};

const clientToken = async (): Promise<string> => {
  const { clientId, clientSecret } = scene.home.source;
  const reply = await http.post('/v1/auth/token', {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
    }).toString(),
  });
  return jsonOf<{ access_token: string }>(reply, 200).access_token;
};

const sourceCaller = async (): Promise<Caller> => ({
  name: 'source',
  token: await clientToken(),
  actor: {
    type: 'source',
    role: 'source',
    id: scene.home.source.id,
    organisation: scene.home.id,
    session: null,
  } as ActorContext,
  disposable: async () => ({ token: await clientToken(), password: 'none' }),
});

const askAll = async (route: FoundRoute): Promise<void> => {
  const known = cases[keyOf(route)];
  if (known === undefined) return;
  for (const thing of await known.things(scene)) {
    const given: Answer[] = [];
    for (const caller of callers) {
      const ask = { token: caller.token, ...(await known.ask?.(caller, scene)) };
      given.push({ caller, reply: await http.ask(route.method, pathOf(route, thing), ask) });
    }
    const [first] = callers;
    const nobody = await known.ask?.(first as Caller, scene);
    const { token: _none, ...anonymous } = { token: '', ...nobody };
    const reply = await http.ask(route.method, pathOf(route, thing), anonymous);
    given.push({ caller: { ...(first as Caller), name: 'nobody' }, reply });
    answers.set(`${keyOf(route)} | ${thing.about}`, given);
    for (const { caller, reply: came } of given)
      expectedStatus.set(came, statusByTable(route, thing, caller, known.ok));
  }
};

const expectedStatus = new Map<Reply, number>();

const statusByTable = ({ access }: FoundRoute, thing: Thing, caller: Caller, ok: number): number => {
  if (access === 'public') return ok;
  if (caller.name === 'nobody' || access === undefined || access.credential === 'signature') return 401;
  const decision = decide(caller.actor.role, access.action, thing.relation(caller));
  return decision === 'allow' ? ok : decision === 'forbidden' ? 403 : 404;
};

beforeAll(async () => {
  vault = await startInProcess();
  http = createHttpClient(vault.url);
  scene = await buildScene(http, vault.adminCreate);
  const { home, own, installationAdmin, installationAuditor } = scene;
  callers = [
    await sourceCaller(),
    await personCaller(own.nurse, [own.id], home.id),
    await personCaller(home.compliance, [], home.id),
    await personCaller(home.admin, [], home.id),
    await personCaller(installationAdmin, [], null),
    await personCaller(installationAuditor, [], null),
  ];
  for (const route of vault.routes) await askAll(route);
});
afterAll(async () => {
  http.close();
  await vault.close();
});

test('PDL-2 every registered route is known here, and nothing else is', () => {
  expect(vault.routes.map(keyOf).sort()).toEqual(Object.keys(cases).sort());
});

test('PDL-2 every action of the table guards a route', () => {
  const used = vault.routes.flatMap(({ access }) =>
    access === 'public' || access === undefined
      ? []
      : [access.action, ...(access.file === undefined ? [] : [access.file.action])],
  );
  expect([...new Set(used)].sort()).toEqual([...actions].sort());
});

test('PDL-2, ASVS 8.2.2 every route answers every role about everything as the table of access says', () => {
  const differences = [...answers].flatMap(([what, given]) =>
    given
      .map(({ caller, reply }) => ({ caller, status: reply.status, expected: expectedStatus.get(reply) }))
      .filter(({ status, expected }) => status !== expected)
      .map(({ caller, status, expected }) => `${what} | ${caller.name}: ${status}, not ${expected}`),
  );
  expect(differences).toEqual([]);
  expect([...answers.values()].flat().length).toBeGreaterThan(700);
});

test('PDL-1, PDL-2 those and only those succeed whom the law of the house names', () => {
  const measured = [...answers].flatMap(([what, given]) => {
    const names = given.filter(({ reply }) => reply.status < 300).map(({ caller }) => caller.name);
    return names.length === 0 ? [] : [[what, names.join(' ')] as const];
  });
  expect(Object.fromEntries(measured)).toEqual(withHeads(successes));
});

const statusOf = (what: string, name: string): number | undefined =>
  answers.get(what)?.find(({ caller }) => caller.name === name)?.reply.status;

test.each([
  ['GET /v1/recordings/:id | other unit', 'nurse', 404],
  ['GET /v1/recordings/:id | other organisation', 'nurse', 404],
  ['GET /v1/recordings/:id | nonexistent', 'nurse', 404],
  ['POST /v1/recordings/:id/playbacks | other unit', 'nurse', 404],
  ['POST /v1/recordings/:id/playbacks | own unit', 'admin', 403],
  ['POST /v1/recordings/:id/playbacks | nonexistent', 'admin', 403],
  ['POST /v1/recordings/:id/playbacks | own unit', 'compliance', 403],
  ['GET /v1/playbacks/:id/audio | own', 'installation_admin', 403],
  ['GET /v1/playbacks/:id/audio | own', 'source', 403],
  ['GET /v1/playbacks/:id/audio | colleague', 'nurse', 404],
  ['GET /v1/playbacks/:id/audio | own', 'nobody', 401],
  ['POST /v1/audit/search | own', 'nurse', 403],
  ['GET /v1/audit/entries/:seq | own organisation', 'installation_auditor', 404],
  ['GET /v1/audit/entries/:seq | other organisation', 'compliance', 404],
  ['DELETE /v1/recordings/:id | other organisation', 'admin', 404],
  ['POST /v1/recordings/search | own', 'source', 403],
] as const)('%s: %s gets %i', (what, name, status) => {
  expect(statusOf(what, name)).toBe(status);
});

test('PDL-11 another organisation’s thing and none at all answer alike, word for word', () => {
  const wordsOf = ({ reply }: Answer): unknown => {
    const problem = reply.text === '' ? {} : (JSON.parse(reply.text) as object);
    return { status: reply.status, ...problem, requestId: '' };
  };
  const pairs = [...answers].filter(([what]) => what.endsWith('| other organisation'));
  expect(pairs.length).toBeGreaterThan(15);
  for (const [what, given] of pairs) {
    const nothing = answers.get(what.replace('other organisation', 'nonexistent')) ?? [];
    expect([what, given.map(wordsOf)]).toEqual([what, nothing.map(wordsOf)]);
  }
});

test('every refusal is a problem in words, and every one of somebody known is in the log', async () => {
  const refused = [...answers.entries()].flatMap(([what, given]) =>
    given.filter(({ reply }) => reply.status >= 400 && reply.text !== '').map((one) => ({ what, ...one })),
  );
  const codes: Record<number, string> = {
    400: 'invalid_request',
    401: 'unauthenticated',
    403: 'forbidden',
    404: 'not_found',
    415: 'unsupported_media_type',
  };
  const told = await inDatabase(vault.folder, async (client) => {
    type Row = { request: string };
    const { rows } = await client.query<Row>(
      `SELECT body::jsonb ->> 'request' AS request FROM audit.entry WHERE body::jsonb ->> 'outcome' = 'denied'`,
    );
    return new Set(rows.map(({ request }) => request));
  });
  const silent = refused.filter(({ reply }) => {
    const { requestId } = expectProblem(reply, reply.status, codes[reply.status] ?? 'unexpected');
    return reply.status !== 401 && !told.has(requestId);
  });
  expect(silent.map(({ what, caller }) => `${what} | ${caller.name}`)).toEqual([]);
});

test('the web session’s cookie opens media, refresh, logout and one’s own account, and nothing else', async () => {
  const opened: string[] = [];
  let { cookie } = await scene.own.nurse.signIn();
  for (const route of vault.routes) {
    if (route.access === 'public') continue;
    const known = cases[keyOf(route)];
    const [thing] = (await known?.things(scene)) ?? [];
    if (known === undefined || thing === undefined) throw new Error(`unknown: ${keyOf(route)}`);
    const { token: _none, ...ask } = {
      token: '',
      json: {},
      ...(await known.ask?.(callers[1] as Caller, scene)),
    };
    const get = route.method === 'GET' || route.method === 'HEAD';
    const reply = await http.ask(route.method, pathOf(route, thing), {
      ...(get ? {} : ask),
      headers: { ...ask.headers, cookie, 'sec-fetch-site': 'same-origin' },
    });
    // A playback is bound to the session that opened it, so with another one's cookie it is 404: the cookie was accepted.
    if (reply.status === 401) continue;
    opened.push(keyOf(route));
    ({ cookie } = await scene.own.nurse.signIn());
  }
  expect(opened).toEqual([
    'POST /v1/auth/refresh',
    'POST /v1/auth/logout',
    'GET /v1/auth/me',
    'HEAD /v1/auth/me',
    'POST /v1/auth/password',
    'GET /v1/playbacks/:id/audio',
    'HEAD /v1/playbacks/:id/audio',
    'GET /v1/playbacks/:id/peaks',
    'HEAD /v1/playbacks/:id/peaks',
    'POST /v1/playbacks/:id/heard',
  ]);
});

/** Each way in which this route is asked properly, with a parameter in its address that no route knows. */
const askWithMore = async (route: FoundRoute, value: string, cookie: string): Promise<Reply[]> => {
  const known = cases[keyOf(route)];
  const [thing] = (await known?.things(scene)) ?? [];
  if (known === undefined || thing === undefined) throw new Error(`unknown: ${keyOf(route)}`);
  const path = pathOf(route, thing);
  const more = `${path}${path.includes('?') ? '&' : '?'}callerNumber=${value}`;
  // Of what is no form at all the address is not looked at.
  const form =
    known.ok === 415 ? { form: uploadForm({ callId: crypto.randomUUID() }, generatedCall(1)) } : {};
  const replies: Reply[] = [];
  for (const caller of callers) {
    const ask = known.ok === 415 ? form : await known.ask?.(caller, scene);
    replies.push(await http.ask(route.method, more, { token: caller.token, ...ask }));
  }
  const body = route.method === 'GET' || route.method === 'HEAD' ? {} : { json: {} };
  const headers = { cookie, 'sec-fetch-site': 'same-origin' };
  return [...replies, await http.ask(route.method, more, { ...body, headers })];
};

test('a parameter that its address does not know is refused by every route and repeated nowhere', async () => {
  const number = '0701740605';
  const fault = { where: 'querystring', fault: 'is unknown: callerNumber' };
  const unnamed: string[] = [];
  const { cookie } = await scene.own.nurse.signIn();
  for (const route of vault.routes) {
    const replies = await askWithMore(route, number, cookie);
    const statuses = replies.map(({ status }) => status);
    expect([keyOf(route), statuses.filter((one) => ![400, 401, 403, 415].includes(one))]).toEqual([
      keyOf(route),
      [],
    ]);
    for (const { text } of replies) expect(text).not.toContain(number);
    const refused = replies.filter(({ status }) => status === 400);
    const named = refused.filter(({ text }) => {
      const { faults = [] } = text === '' ? {} : (JSON.parse(text) as { faults?: unknown[] });
      return route.method === 'HEAD' || JSON.stringify(faults) === JSON.stringify([fault]);
    });
    if (named.length === 0) unnamed.push(keyOf(route));
  }
  expect(unnamed).toEqual([]);
  const told = await inDatabase(vault.folder, async (client) => {
    const { rows } = await client.query('SELECT 1 FROM audit.entry WHERE strpos(body, $1) > 0', [number]);
    return rows.length;
  });
  expect(told).toBe(0);
});

test.each([
  ['querystring', { type: 'object', properties: { from: { type: 'string' } } }],
  ['query', { type: 'object', additionalProperties: false }],
])('a route that does not name all parameters of its address stops the boot (%s)', async (name, schema) => {
  const open: FastifyPluginAsync = async (app) => {
    app.get('/open', { config: { access: 'public' }, schema: { [name]: schema } }, () => 'all');
  };
  await expect(vault.buildAnother((app) => void app.register(open))).rejects.toThrow(
    'The route GET /open takes parameters that it does not name; the server does not start.',
  );
});

const forgetful: FastifyPluginAsync = async (app) => {
  app.get('/forgotten', () => 'secret');
};

test('PDL-2 a route without declared access stops the boot', async () => {
  const boot = vault.buildAnother((app) => void app.register(forgetful));
  await expect(boot).rejects.toThrow(
    'The route GET /forgotten declares no access; the server does not start.',
  );
});

test('PDL-2 one that slipped in before the check could see it lets nobody in', async () => {
  const app = await vault.buildAnother((early) => {
    early.get('/forgotten', () => 'secret');
  });
  const { statusCode, body } = await app.inject('/forgotten');
  await app.close();
  expect(statusCode).toBe(500);
  expect(JSON.parse(body)).toMatchObject({ code: 'internal', title: 'Internal Server Error' });
});

const roles: Role[] = ['nurse', 'compliance', 'admin', 'installation_admin', 'installation_auditor'];
test('nobody makes somebody above himself: an account’s role and its maker', async () => {
  const make = async (maker: Person, role: string): Promise<number> => {
    const json = { email: `${crypto.randomUUID()}@example.org`, displayName: 'New', role };
    return (await http.post('/v1/admin/users', { token: await maker.token(), json })).status;
  };
  const { home, installationAdmin } = scene;
  const made = async (maker: Person) => Promise.all(roles.map((role) => make(maker, role)));
  expect(await made(home.admin)).toEqual([201, 201, 201, 403, 403]);
  expect(await made(installationAdmin)).toEqual([403, 403, 403, 201, 201]);
});
