import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { generatedCall } from '../support/generated-call.ts';
import { type Ask, jsonOf, type Reply } from '../support/http-client.ts';
import { expectProblem } from '../support/problems.ts';
import { type Answer, twilioSignature } from '../support/telephony-provider.ts';
import { audio, CALLBACK_URL, type Form, sent, takesCallbacks } from '../support/twilio-callbacks.ts';
import { inDatabase } from '../support/vault-inspection.ts';

/** Callbacks, addresses and answers of a provider that Twilio's recordingStatusCallback would not have. */
const { world, settings, set, signed, send, call, entries, recordingsOf } = takesCallbacks();

describe('a callback that is not its account’s', () => {
  const forged: readonly (readonly [string, (form: Form) => Ask])[] = [
    ['a wrong signature', (form) => signed(form, twilioSignature(CALLBACK_URL, 'x'.repeat(32), form))],
    ['no signature', (form) => signed(form, '')],
    [
      'the signature of another address',
      (form) => signed(form, twilioSignature('https://elsewhere.example/', world.provider.authToken, form)),
    ],
    [
      'another value than was signed',
      (form) =>
        signed({ ...form, CallSid: 'CAx' }, twilioSignature(CALLBACK_URL, world.provider.authToken, form)),
    ],
    ['an API key instead', (form) => ({ ...signed(form, ''), token: world.source.apiKey })],
  ];
  const wordsOf = ({ text }: Reply): object => ({ ...(JSON.parse(text) as object), requestId: '' });

  test.each(forged)('with %s is refused, counted, and nothing is fetched', async (_what, asked) => {
    const form = world.provider.callback();
    const before = world.provider.connections();
    expectProblem(await send(asked(form)), 401, 'unauthenticated');
    expect(world.provider.connections()).toBe(before);
  });

  test('of a source without account, disabled, of nobody, or of no id is refused alike', async () => {
    const [bare, disabled, removed] = await Promise.all([
      world.scene.stage.source(world.scene.home.admin),
      world.scene.stage.source(world.scene.home.admin),
      world.scene.stage.source(world.scene.home.admin),
    ]);
    const token = await world.scene.home.admin.token();
    for (const one of [disabled, removed]) jsonOf(await set(one, settings()), 200);
    await world.scene.http.post(`/v1/admin/sources/${disabled.id}/disable`, { token });
    const gone = await world.scene.http.ask('DELETE', `/v1/admin/sources/${removed.id}/twilio`, { token });
    expect(gone.status).toBe(204);
    const asked = signed(world.provider.callback());
    const places = [bare.id, disabled.id, removed.id, world.scene.foreign.source.id, randomUUID(), 'nobody'];
    const replies = await Promise.all(places.map((id) => send(asked, id)));
    const wrong = await send(signed(world.provider.callback(), 'x'));
    expect(new Set([...replies, wrong].map(({ status }) => status))).toEqual(new Set([401]));
    for (const reply of replies) expect(wordsOf(reply)).toEqual(wordsOf(wrong));
    const refused = await inDatabase(world.scene.folder, async (client) => {
      const { rows } = await client.query(
        `SELECT body FROM audit.entry WHERE body::jsonb -> 'detail' ->> 'reason' = 'bad_signature'`,
      );
      return rows.length;
    });
    expect(refused).toBeGreaterThan(0);
  });
});

describe('an address that is not the account’s recording', () => {
  const path = (form: Form): string => new URL(form.RecordingUrl ?? '').pathname;
  test.each<[string, (form: Form) => string]>([
    ['the cloud’s metadata', (form) => `https://169.254.169.254${path(form)}`],
    ['the machine by name', (form) => `https://localhost${path(form)}`],
    ['the machine on another port', (form) => `https://${world.elsewhere.host}${path(form)}`],
    ['plain http', (form) => `http://${world.provider.host}${path(form)}`],
    [
      'another account',
      (form) => (form.RecordingUrl ?? '').replace(world.provider.accountSid, world.elsewhere.accountSid),
    ],
    ['a user in it', (form) => `https://x@${world.provider.host}${path(form)}`],
  ])('(%s) is refused and not asked', async (_what, urlOf) => {
    const form = world.provider.callback();
    const before = [world.provider.connections(), world.elsewhere.connections()];
    const reply = await call({ ...form, RecordingUrl: urlOf(form) });
    const { faults } = expectProblem(reply, 400, 'not_acceptable_metadata');
    expect(faults?.map(({ where }) => where)).toEqual(['RecordingUrl']);
    expect([world.provider.connections(), world.elsewhere.connections()]).toEqual(before);
    expect(reply.text).not.toMatch(/169\.254|localhost|127\.0/);
  });

  test('to which it redirects is not asked, and one that is permitted is asked without the token', async () => {
    const before = world.elsewhere.connections();
    for (const location of [
      `https://${world.elsewhere.host}/x.wav`,
      'http://127.0.0.1/',
      'https://169.254.169.254/x',
    ]) {
      world.provider.behave((response) => void response.writeHead(302, { location }).end());
      expectProblem(await call(world.provider.callback()), 502, 'fetch_failed');
    }
    expect(world.elsewhere.connections()).toBe(before);

    const form = world.provider.callback();
    world.provider.behave((response, { url = '' }, sound) => {
      if (url.startsWith('/media')) response.writeHead(200, { 'content-type': 'audio/x-wav' }).end(sound);
      else response.writeHead(302, { location: `/media/${form.RecordingSid}` }).end();
    });
    expect((await call(form)).status).toBe(201);
    expect(world.provider.about(form.RecordingSid).map(({ authorization }) => authorization)).toEqual([
      world.provider.basic,
      null,
    ]);
  });

  test('redirecting without end is given up', async () => {
    const form = world.provider.callback();
    const location = `/again/${form.RecordingSid}`;
    world.provider.behave((response) => void response.writeHead(302, { location }).end());
    expectProblem(await call(form), 502, 'fetch_failed');
    expect(world.provider.about(form.RecordingSid)).toHaveLength(3);
  });
});

test.each<[string, Answer, number, string]>([
  ['404', sent(404, 'application/xml', '<x/>'), 502, 'fetch_failed'],
  ['401', sent(401, 'text/html', 'no'), 502, 'fetch_failed'],
  ['500', sent(500, 'text/plain', 'no'), 502, 'fetch_failed'],
  ['200 and a page', sent(200, 'text/html', '<html>later</html>'), 502, 'fetch_failed'],
  ['other coding', sent(200, 'audio/x-wav', audio, { 'content-encoding': 'gzip' }), 502, 'fetch_failed'],
  ['a program', sent(200, 'audio/x-wav', '\u007fELF and what follows'), 422, 'refused_content'],
  ['more than is taken', sent(200, 'audio/x-wav', generatedCall(70)), 413, 'too_large'],
  [
    'less than it said',
    (response, _request, sound) => {
      response.writeHead(200, { 'content-type': 'audio/x-wav', 'content-length': sound.length });
      response.write(sound.subarray(0, 20_000));
      setTimeout(() => response.destroy(), 50);
    },
    502,
    'fetch_failed',
  ],
  ['nothing', (response) => void response.destroy(), 502, 'fetch_failed'],
])(
  'where the provider answers %s nothing is stored, it is an entry, and the next callback succeeds',
  async (_what, answer, status, code) => {
    const form = world.provider.callback();
    world.provider.behave(answer);
    const reply = await call(form);
    const { requestId } = expectProblem(reply, status, code);
    expect(await recordingsOf(form)).toEqual([]);
    const refused = (await entries('recording.refused')).filter(({ request }) => request === requestId);
    expect(refused.map(({ detail }) => detail.reason)).toEqual([code]);
    world.provider.behave();
    expect((await call(form)).status).toBe(201);
  },
);

test.each<[string, Ask, number]>([
  ['of ten megabytes', { ...signed0(), body: 'a'.repeat(10_000_000) }, 413],
  ['of JSON', { json: { RecordingStatus: 'completed' } }, 415],
  ['of too many parameters', { ...signed0(), body: 'a&'.repeat(5000) }, 401],
  ['of nothing', { ...signed0(), body: '' }, 401],
])('a form %s is refused', async (_what, asked, status) => {
  expect((await send(asked)).status).toBe(status);
});

/** Before anything is there. */
function signed0(): Ask {
  return { headers: { 'content-type': 'application/x-www-form-urlencoded', 'x-twilio-signature': 'x' } };
}

describe('the settings', () => {
  test.each([
    'http://vault.example/x',
    'https://vault.example',
    'https://user@vault.example/x',
    'https://vault.example/x?y=1',
    'https://vault.example/x#y',
    'https:///x',
  ])('with the address %s are refused', async (callbackUrl) => {
    expectProblem(await set(world.source, settings({ callbackUrl })), 400, 'invalid_request');
  });
});
