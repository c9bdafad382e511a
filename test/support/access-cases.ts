import { randomUUID } from 'node:crypto';
import {
  anyone,
  atHome,
  type Caller,
  entries,
  holds,
  newOrganisation,
  newWebhook,
  nothing,
  organisations,
  own,
  playbacks,
  recordings,
  sources,
  type Thing,
  thing,
  tusVersion,
  unassigned,
  unfinished,
  units,
  uploads,
  users,
  uuidBase64,
  webhooks,
} from './access-things.ts';
import { generatedCall } from './generated-call.ts';
import { type Ask, uploadForm } from './http-client.ts';
import type { Scene } from './scene.ts';

export type { Caller, Thing } from './access-things.ts';

/** How a route is asked, and about what. */
export type Case = {
  /** Status of the answer to whoever may. */
  readonly ok: number;
  /** What is asked for, where the address itself does not say it. */
  readonly query?: string;
  readonly things: (scene: Scene) => Promise<readonly Thing[]> | readonly Thing[];
  readonly ask?: (caller: Caller, scene: Scene) => Promise<Ask> | Ask;
};

const onePart = (): Ask => ({
  body: 'x',
  headers: { ...tusVersion, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
});
const askedByTus = (): Ask => ({ headers: tusVersion });

const json = (body: () => unknown) => (): Ask => ({ json: body() });
const upload = (): Ask => ({ form: uploadForm({ callId: randomUUID() }, generatedCall(1)) });
const newAccount = { displayName: 'New', role: 'compliance' };
const named = json(() => ({ name: randomUUID() }));
const newPassword = 'a new password for the next day';
const disposably =
  (body: (password: string) => unknown) =>
  async (caller: Caller): Promise<Ask> => {
    const { token, password } = await caller.disposable();
    return { token, json: body(password) };
  };

const written: Readonly<Record<string, Case>> = {
  'GET /openapi.json': { ok: 200, things: () => anyone },
  'GET /healthz': { ok: 200, things: () => anyone },
  'GET /readyz': { ok: 200, things: () => anyone },
  'GET /.well-known/jwks.json': { ok: 200, things: () => anyone },
  'POST /v1/auth/login': {
    ok: 200,
    things: () => anyone,
    ask: (_caller, { own: { nurse } }) => ({ json: { email: nurse.email, password: nurse.password } }),
  },
  'POST /v1/auth/token': {
    ok: 200,
    things: () => anyone,
    ask: (_caller, { home: { source } }) => ({
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        authorization: `Basic ${Buffer.from(`${source.clientId}:${source.clientSecret}`).toString('base64')}`,
      },
      body: 'grant_type=client_credentials',
    }),
  },
  // By the web session's cookie alone, and every caller here comes with a token.
  'POST /v1/auth/refresh': { ok: 401, things: () => anyone },
  'POST /v1/auth/logout': { ok: 204, things: () => anyone, ask: disposably(() => ({})) },
  'GET /v1/auth/me': { ok: 200, things: () => anyone },
  'POST /v1/auth/password': {
    ok: 204,
    things: () => anyone,
    ask: disposably((currentPassword) => ({ currentPassword, newPassword })),
  },
  'POST /v1/recordings': { ok: 201, things: () => atHome, ask: upload },
  'PUT /v1/ingest/:name': {
    ok: 201,
    things: () => own(() => 'organisation').map((one) => ({ ...one, params: { name: 'call.wav' } })),
    ask: () => ({ body: generatedCall(1), headers: { 'x-call-id': randomUUID() } }),
  },
  // No form either.
  'POST /v1/ingest/rtpengine': {
    ok: 415,
    things: () => atHome,
    ask: () => ({
      json: {},
      headers: { 'x-recording-call-id': randomUUID(), 'x-recording-file-name': 'x-mix.wav' },
    }),
  },
  // By its signature alone: no token is worth anything here.
  'POST /v1/ingest/twilio/:source': {
    ok: 401,
    things: ({ home, foreign }) => [
      thing('own organisation', { organisation: home.id }, { source: home.source.id }),
      thing('other organisation', { organisation: foreign.id }, { source: foreign.source.id }),
      nothing('source'),
    ],
    ask: () => ({
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'x-twilio-signature': 'RSOYDt4T1cUTdK1PDd93/VVr8B8=',
      },
      body: 'RecordingStatus=completed',
    }),
  },
  // No WebSocket: whoever may deliver is told so.
  'GET /v1/ingest/jambonz': { ok: 400, things: () => atHome },
  'GET /v1/ingest/jambonz/record/:vendor': {
    ok: 400,
    things: () => atHome.map((one) => ({ ...one, params: { vendor: 'aws_s3' } })),
  },
  // What is sent here is no form: whoever may deliver is told so.
  'POST /v1/sealed-recordings': { ok: 415, things: () => atHome, ask: json(() => ({})) },
  'OPTIONS /v1/uploads': { ok: 204, things: () => anyone },
  'POST /v1/uploads': {
    ok: 201,
    things: () => atHome,
    ask: () => ({
      headers: { ...tusVersion, 'upload-length': '1000', 'upload-metadata': `callId ${uuidBase64()}` },
    }),
  },
  'HEAD /v1/uploads/:id': { ok: 200, things: unfinished, ask: askedByTus },
  'PATCH /v1/uploads/:id': { ok: 204, things: unfinished, ask: onePart },
  'DELETE /v1/uploads/:id': { ok: 204, things: unfinished, ask: askedByTus },
  'GET /v1/edge-key': { ok: 200, things: () => atHome },
  'POST /v1/recordings/search': { ok: 200, things: () => own(() => 'unit'), ask: json(() => ({})) },
  'GET /v1/recordings/:id': { ok: 200, things: recordings },
  'GET /v1/recordings/:id/status': { ok: 200, things: uploads },
  'POST /v1/recordings/:id/verification': { ok: 200, things: uploads },
  'POST /v1/import-checks': {
    ok: 204,
    things: () => atHome,
    ask: (_caller, { own }) => ({ json: { careUnits: [own.id] } }),
  },
  'POST /v1/import-reports': {
    ok: 201,
    things: () => atHome,
    ask: json(() => ({ sha256: 'f'.repeat(64), files: 3, verified: 2, wiped: 0, exceptions: 1 })),
  },
  'POST /v1/calls': {
    ok: 200,
    things: () => atHome,
    ask: json(() => ({ callId: randomUUID(), startedAt: new Date().toISOString() })),
  },
  'GET /v1/admin/radar': { ok: 200, query: '?from=2026-03-01&to=2026-03-31', things: () => atHome },
  'GET /v1/admin/radar/findings': {
    ok: 200,
    query: `?source=${randomUUID()}&day=2026-03-01&finding=missing`,
    things: () => atHome,
  },
  'DELETE /v1/recordings/:id': { ok: 204, things: recordings, ask: json(() => ({ reason: 'retention' })) },
  'POST /v1/recordings/:id/holds': {
    ok: 201,
    things: recordings,
    ask: json(() => ({ reason: 'complaint' })),
  },
  'DELETE /v1/recordings/:id/holds/:holdId': { ok: 204, things: holds },
  'PUT /v1/recordings/:id/care-unit': {
    ok: 204,
    things: unassigned,
    ask: (_caller, { own }) => ({ json: { unit: own.id } }),
  },
  'GET /v1/admin/unassigned-recordings': { ok: 200, things: () => atHome },
  'POST /v1/recordings/:id/playbacks': {
    ok: 201,
    things: recordings,
    ask: json(() => ({ purpose: 'care' })),
  },
  'GET /v1/playbacks/:id/audio': { ok: 200, things: playbacks },
  'GET /v1/playbacks/:id/peaks': { ok: 200, things: playbacks },
  'POST /v1/playbacks/:id/heard': { ok: 204, things: playbacks, ask: json(() => ({ spans: [[0, 1]] })) },
  'POST /v1/audit/search': { ok: 200, things: () => atHome, ask: json(() => ({})) },
  'GET /v1/audit/entries/:seq': { ok: 200, things: entries },
  'GET /v1/audit/recordings/:id/hearers': { ok: 200, things: recordings },
  'GET /v1/audit/actors/:id/activity': { ok: 200, things: users },
  'GET /v1/audit/entries/:seq/proof': { ok: 200, things: entries },
  'GET /v1/audit/export': { ok: 200, things: () => atHome },
  'POST /v1/audit/export': { ok: 200, things: () => atHome, ask: json(() => ({})) },
  'GET /v1/audit/checkpoint': { ok: 200, things: () => atHome },
  'GET /v1/audit/proof/inclusion': { ok: 200, query: '?seq=0', things: () => atHome },
  'GET /v1/audit/proof/consistency': { ok: 200, query: '?from=1', things: () => atHome },
  'POST /v1/admin/organisations': {
    ok: 201,
    things: () => own(() => 'installation'),
    ask: json(newOrganisation),
  },
  'GET /v1/admin/organisations': { ok: 200, things: () => own(() => 'installation') },
  'PATCH /v1/admin/organisations/:id': { ok: 200, things: organisations, ask: named },
  'POST /v1/admin/organisations/:id/disable': { ok: 200, things: organisations },
  'POST /v1/admin/organisations/:id/enable': { ok: 200, things: organisations },
  'POST /v1/admin/units': { ok: 201, things: () => atHome, ask: named },
  'GET /v1/admin/units': { ok: 200, things: () => atHome },
  'PATCH /v1/admin/units/:id': { ok: 200, things: units, ask: named },
  'POST /v1/admin/units/:id/disable': { ok: 200, things: units },
  'POST /v1/admin/units/:id/enable': { ok: 200, things: units },
  'POST /v1/admin/users': {
    ok: 201,
    things: () => atHome,
    ask: ({ actor }) => {
      const role = actor.organisation === null ? 'installation_auditor' : 'compliance';
      return { json: { ...newAccount, role, email: `${randomUUID()}@example.org` } };
    },
  },
  'GET /v1/admin/users': { ok: 200, things: () => atHome },
  'PATCH /v1/admin/users/:id': { ok: 200, things: users, ask: json(() => ({ displayName: 'Renamed' })) },
  'POST /v1/admin/users/:id/reset-password': { ok: 200, things: users },
  'POST /v1/admin/users/:id/disable': { ok: 200, things: users },
  'POST /v1/admin/users/:id/enable': { ok: 200, things: users },
  'POST /v1/admin/sources': {
    ok: 201,
    things: () => atHome,
    ask: json(() => ({ name: randomUUID(), retentionClass: 'quality', legalBasis: 'public_task' })),
  },
  'GET /v1/admin/sources': { ok: 200, things: () => atHome },
  'PATCH /v1/admin/sources/:id': { ok: 200, things: sources, ask: named },
  'POST /v1/admin/sources/:id/replace-secrets': { ok: 200, things: sources },
  'PUT /v1/admin/sources/:id/twilio': {
    ok: 200,
    things: sources,
    ask: json(() => ({
      accountSid: 'AC0123456789abcdef0123456789abcdef',
      authToken: '0123456789abcdef0123456789abcdef',
      callbackUrl: 'https://vault.example.org/v1/ingest/twilio/x',
    })),
  },
  'DELETE /v1/admin/sources/:id/twilio': { ok: 204, things: sources },
  'POST /v1/admin/sources/:id/disable': { ok: 200, things: sources },
  'POST /v1/admin/sources/:id/enable': { ok: 200, things: sources },
  'POST /v1/admin/webhooks': { ok: 201, things: () => atHome, ask: json(newWebhook) },
  'GET /v1/admin/webhooks': { ok: 200, things: () => atHome },
  'PATCH /v1/admin/webhooks/:id': {
    ok: 200,
    things: webhooks,
    ask: json(() => ({ events: ['recording.missing'] })),
  },
  'POST /v1/admin/webhooks/:id/replace-secret': { ok: 200, things: webhooks },
  'GET /v1/admin/webhooks/:id/dead-letters': { ok: 200, things: webhooks },
  'POST /v1/admin/webhooks/:id/redeliver': { ok: 204, things: webhooks, ask: json(() => ({})) },
  'POST /v1/admin/webhooks/:id/disable': { ok: 200, things: webhooks },
  'POST /v1/admin/webhooks/:id/enable': { ok: 200, things: webhooks },
  'GET /v1/admin/policies': { ok: 200, things: () => atHome },
  'PATCH /v1/admin/policies': {
    ok: 200,
    things: () => atHome,
    ask: json(() => ({ retention: { quality: 90 } })),
  },
};

/** What answers GET answers HEAD, to the same people; a WebSocket begins with GET alone. */
export const withHeads = <T>(of: Readonly<Record<string, T>>): Readonly<Record<string, T>> => {
  const heads = Object.entries(of)
    .filter(([route]) => route.startsWith('GET ') && !route.startsWith('GET /v1/ingest/jambonz'))
    .map(([route, value]) => [route.replace('GET', 'HEAD'), value] as const);
  return { ...Object.fromEntries(heads), ...of };
};

/** How every route is called properly. A route that is not here fails the test. */
export const cases = withHeads(written);
