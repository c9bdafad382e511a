import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  launchBrowser,
  openContext,
  openTab,
  type Seen,
  type Stranger,
  startStranger,
  type Tab,
  visit,
} from '../support/browser.ts';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { generatedCall } from '../support/generated-call.ts';
import { jsonOf, uploadForm } from '../support/http-client.ts';

/** A nurse's browser in front of a running vault: what `<audio>` really does, and what the browser really sends. */
const FIXTURES = join(import.meta.dirname, '../../fixtures');
type SampleCall = {
  file: string;
  mediaType: string;
  audio: { codec: string; channels: number; durationMs: number };
};
const { calls } = JSON.parse(readFileSync(join(FIXTURES, 'calls.json'), 'utf8')) as { calls: SampleCall[] };

let care: CareLineVault;
let browser: Browser;
let context: BrowserContext;
let tab: Tab;
let token: string;
let stranger: Stranger;

beforeAll(async () => {
  browser = await launchBrowser();
  care = await startCareLine();
  stranger = await startStranger();
});
afterAll(async () => {
  await browser?.close();
  await stranger?.close();
  care?.line.http.close();
  await care?.folder.remove();
});

const upload = async (audio: Buffer, mediaType = 'audio/wav'): Promise<string> => {
  const form = uploadForm({ callId: crypto.randomUUID() }, audio, mediaType);
  const reply = await care.line.http.post('/v1/recordings', { token: care.line.apiKey, form });
  return jsonOf<{ id: string }>(reply, 201).id;
};

/** The page says why, and gets the address of the sound. */
const playbackOf = async (recording: string): Promise<string> => {
  const path = `/v1/recordings/${recording}/playbacks`;
  const { status, body } = await tab.do('ask', path, { json: { purpose: 'care' }, token });
  expect(status).toBe(201);
  return body?.audioUrl as string;
};

const signIn = async (): Promise<string> => {
  const { email, password } = care.line.nurse;
  const { status, body } = await tab.do('ask', '/v1/auth/login', { json: { email, password } });
  expect(status).toBe(200);
  return body?.accessToken as string;
};

beforeEach(async () => {
  context = await openContext(browser);
  tab = await openTab(context, care.vault.url);
  token = await signIn();
});
afterEach(() => context.close());

/** A player's own request, answered with a part. */
const expectPart = ({ headers, status, contentRange }: Seen): void => {
  expect(headers).toMatchObject({
    'sec-fetch-dest': 'audio',
    'sec-fetch-mode': 'no-cors',
    'sec-fetch-site': 'same-origin',
    range: expect.stringMatching(/^bytes=\d+-\d*$/),
    cookie: expect.stringMatching(/^__Host-cv=/),
  });
  expect(headers).not.toHaveProperty('authorization');
  expect(status).toBe(206);
  const [, from, to] = /^bytes (\d+)-(\d+)\//.exec(contentRange ?? '') ?? [];
  expect(Number(to) - Number(from) + 1).toBeLessThanOrEqual(524_288);
};

describe('signing in', () => {
  test('leaves a cookie of this host that no script reads and that ends with the browser', async () => {
    const cookies = await context.cookies(care.vault.url);
    expect(cookies).toMatchObject([
      { name: '__Host-cv', path: '/', httpOnly: true, secure: true, sameSite: 'Strict', expires: -1 },
    ]);
    expect(await tab.do('cookies')).toBe('');
  });

  test('the page gets a new token for its cookie, and the cookie is another one then', async () => {
    const [before] = await context.cookies(care.vault.url);
    const { status, body } = await tab.do('ask', '/v1/auth/refresh', { json: {} });
    expect(status).toBe(200);
    const [after] = await context.cookies(care.vault.url);
    expect(after?.value).not.toBe(before?.value);
    const me = await tab.do('ask', '/v1/auth/me', { method: 'GET', token: body?.accessToken as string });
    expect(me).toMatchObject({ status: 200, body: { email: care.line.nurse.email } });
  });
});

describe('the player', () => {
  test('every kind of sample is among the calls', () => {
    const kinds = calls.map(({ mediaType, audio }) => `${mediaType} ${audio.codec} ${audio.channels}`);
    for (const kind of [
      'audio/wav pcm_s16 1',
      'audio/wav alaw 1',
      'audio/wav ulaw 1',
      'audio/wav pcm_s16 2',
      'audio/mpeg mp3 1',
    ])
      expect(kinds).toContain(kind);
  });

  test.each(calls)('plays and seeks $file ($audio.codec, $audio.channels channels)', async (call) => {
    const url = await playbackOf(await upload(readFileSync(join(FIXTURES, call.file)), call.mediaType));
    const { duration, reached } = await tab.do('play', call.file, url);
    const seconds = call.audio.durationMs / 1000;
    expect(Math.abs(duration - seconds)).toBeLessThan(0.15);
    expect(reached).toBeLessThan(seconds);
    expect(await tab.do('seek', call.file, seconds * 0.7)).toBeGreaterThan(seconds * 0.7);
    const seen = await tab.seen(url);
    expect(seen.length).toBeGreaterThan(0);
    for (const one of seen) expectPart(one);
  });

  test('asks for a long call in pieces, and for none after the session has ended', async () => {
    const url = await playbackOf(await upload(generatedCall(600)));
    expect((await tab.do('play', 'long', url)).duration).toBe(600);
    await tab.do('seek', 'long', 300);
    const heard = await tab.seen(url);
    expect(heard.length).toBeGreaterThan(1);
    for (const one of heard) expectPart(one);
    expect((await tab.do('ask', '/v1/auth/logout', { token })).status).toBe(204);
    expect(await context.cookies(care.vault.url)).toEqual([]);
    await expect(tab.do('seek', 'long', 595)).rejects.toThrow('media error 2');
    expect((await tab.seen(url)).at(-1)).toMatchObject({ status: 401 });
  });
});

describe('the address of the sound', () => {
  test('opened in a tab is refused with a problem, though the cookie goes along', async () => {
    const url = await playbackOf(await upload(generatedCall(1)));
    const other = await context.newPage();
    const response = await other.goto(`${care.vault.url}${url}`);
    expect(response?.status()).toBe(403);
    expect(response?.headers()['content-type']).toMatch(/^application\/problem\+json/);
    expect(await response?.json()).toMatchObject({ status: 403, code: 'forbidden' });
  });

  test('a link on another site leads to: the cookie does not go along', async () => {
    const url = await playbackOf(await upload(generatedCall(1)));
    const foreign = await visit(context, stranger.elsewhere);
    const [response] = await Promise.all([
      foreign.page.waitForResponse((one) => one.url().endsWith(url)),
      foreign.page.evaluate(`location.href = ${JSON.stringify(`${care.vault.url}${url}`)}`),
    ]);
    expect(response.status()).toBe(401);
  });

  test('is for audio elements: no frame, no video, no script gets it', async () => {
    const url = await playbackOf(await upload(generatedCall(1)));
    expect(await tab.do('embed', 'video', url)).toMatch(/media error/);
    await tab.do('embed', 'iframe', url);
    expect(await tab.do('ask', url, { method: 'GET' })).toMatchObject({ status: 403 });
    const seen = await tab.seen(url);
    expect(new Set(seen.map(({ headers }) => headers['sec-fetch-dest']))).toEqual(
      new Set(['video', 'iframe', 'empty']),
    );
    expect(new Set(seen.map(({ status }) => status))).toEqual(new Set([403]));
    // The same address plays where it should.
    expect(await tab.do('play', 'own', url)).toMatchObject({ duration: 1 });
  });
});

describe('a page of somebody else', () => {
  test('another site: its player sends no cookie and plays nothing', async () => {
    const url = await playbackOf(await upload(generatedCall(1)));
    const foreign = await visit(context, stranger.elsewhere);
    expect(await foreign.do('embed', 'audio', `${care.vault.url}${url}`)).toMatch(/media error/);
    const seen = await foreign.seen(url);
    expect(seen.length).toBeGreaterThan(0);
    for (const { headers, status } of seen) {
      expect(headers).toMatchObject({ 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'audio' });
      expect(headers).not.toHaveProperty('cookie');
      expect(status).toBe(401);
    }
  });

  test('another port of this host: the cookie goes along, and the vault refuses it', async () => {
    const url = await playbackOf(await upload(generatedCall(1)));
    const neighbour = await visit(context, stranger.nextDoor);
    expect(await neighbour.do('embed', 'audio', `${care.vault.url}${url}`)).toMatch(/media error/);
    const seen = await neighbour.seen(url);
    expect(seen.length).toBeGreaterThan(0);
    for (const { headers, status } of seen) {
      expect(headers).toMatchObject({
        'sec-fetch-site': 'same-site',
        cookie: expect.stringMatching(/^__Host-cv=/),
      });
      expect(status).toBe(403);
    }
  });

  test.each([
    ['another site', 'elsewhere', 401],
    ['another port', 'nextDoor', 403],
  ] as const)('%s: cannot refresh or end the session', async (_who, where, refusal) => {
    const page = await visit(context, stranger[where]);
    const before = await context.cookies(care.vault.url);
    for (const path of ['/v1/auth/refresh', '/v1/auth/logout']) {
      const target = `${care.vault.url}${path}`;
      // With JSON the browser asks first and is not let through; without, the vault refuses and the page learns nothing.
      expect(await page.do('ask', target, { json: {}, credentials: 'include' })).toMatchObject({
        status: 'failed',
      });
      await page.do('ask', target, { body: 'x', mode: 'no-cors', credentials: 'include' });
      const sent = (await page.seen(path)).filter(({ method }) => method === 'POST');
      expect(sent.length).toBeGreaterThan(0);
      for (const { status } of sent) expect(status).toBe(refusal);
    }
    expect(await context.cookies(care.vault.url)).toEqual(before);
    expect((await tab.do('ask', '/v1/auth/refresh', { json: {} })).status).toBe(200);
  });
});
