import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { audioFixture } from '../support/audio-files.ts';
import { launchBrowser, openContext, openTab, type Tab } from '../support/browser.ts';
import { type CareLineVault, startCareLine } from '../support/care-line.ts';
import { jsonOf, uploadForm } from '../support/http-client.ts';

/** What the vault says of a format against what a browser does with it. */
let care: CareLineVault;
let browser: Browser;
let context: BrowserContext;
let tab: Tab;
let token: string;

beforeAll(async () => {
  browser = await launchBrowser();
  care = await startCareLine();
  context = await openContext(browser);
  tab = await openTab(context, care.vault.url);
  const { email, password } = care.line.nurse;
  const { body } = await tab.do('ask', '/v1/auth/login', { json: { email, password } });
  token = body?.accessToken as string;
});
afterAll(async () => {
  await browser?.close();
  care?.line.http.close();
  await care?.folder.remove();
});

type Opened = { readonly playable: string; readonly audioUrl: string; readonly durationMs: number };

const asItIs = (audio: Buffer): Buffer => audio;
const open = async (file: string, type: string, damage = asItIs): Promise<Opened> => {
  const form = uploadForm({ callId: crypto.randomUUID() }, damage(audioFixture(file)), type);
  const reply = await care.line.http.post('/v1/recordings', { token: care.line.apiKey, form });
  const path = `/v1/recordings/${jsonOf<{ id: string }>(reply, 201).id}/playbacks`;
  return (await tab.do('ask', path, { json: { purpose: 'care' }, token })).body as unknown as Opened;
};

test.each([
  ['pcm_u8.wav', 'audio/wav', 'original'],
  ['pcm_s24-extensible.wav', 'audio/wav', 'original'],
  ['pcm_s32-extensible.wav', 'audio/wav', 'original'],
  ['pcm_f32.wav', 'audio/wav', 'original'],
  ['alaw.wav', 'audio/wav', 'original'],
  ['ulaw.wav', 'audio/wav', 'original'],
  ['mp3.wav', 'audio/wav', 'original'],
  ['vorbis.ogg', 'audio/ogg', 'original'],
  ['opus.ogg', 'audio/ogg', 'original'],
  ['speech.flac', 'audio/flac', 'original'],
  ['aac.m4a', 'audio/mp4', 'original'],
  ['aac-moov-first.m4a', 'audio/mp4', 'original'],
  ['aac-fragmented.m4a', 'audio/mp4', 'original'],
  ['aac.aac', 'audio/aac', 'original'],
  ['untagged-cbr.mp3', 'audio/mpeg', 'original'],
  ['opus.webm', 'audio/webm', 'original'],
  ['opus.mka', 'audio/x-matroska', 'original'],
  ['opus-live.webm', 'audio/webm', 'original'],
  ['pipe.wav', 'audio/wav', 'derived'],
  ['rf64.wav', 'audio/wav', 'derived'],
  ['tone.sln', 'audio/x-slin', 'derived'],
  ['tone.l16', 'audio/L16;rate=8000', 'derived'],
  ['tone.ulaw', 'audio/basic', 'derived'],
  ['tone.alaw', 'audio/x-alaw', 'derived'],
  ['speech.gsm', 'audio/gsm', 'derived'],
  ['gsm610.wav', 'audio/wav', 'derived'],
  ['tone.g722', 'audio/g722', 'derived'],
  ['adpcm_ima-stereo.wav', 'audio/wav', 'derived'],
  ['adpcm_ms.wav', 'audio/wav', 'derived'],
  ['pcm_f64.wav', 'audio/wav', 'derived'],
])('%s as %s: %s, and it plays', async (file, type, playable) => {
  const opened = await open(file, type);
  expect(opened.playable).toBe(playable);
  const { duration, reached } = await tab.do('play', file, opened.audioUrl);
  // Of a live recording a browser learns the length only at its end.
  if (file !== 'opus-live.webm') expect(Math.abs(duration * 1000 - opened.durationMs)).toBeLessThan(120);
  expect(reached).toBeGreaterThan(0.25);
});

test('a recording that is cut is played as it came, as far as it goes', async () => {
  const opened = await open('pcm_s16.wav', 'audio/wav', (audio) => audio.subarray(0, -2001));
  expect(opened).toMatchObject({ playable: 'original', durationMs: 475 });
  expect((await tab.do('play', 'cut', opened.audioUrl)).reached).toBeGreaterThan(0.25);
});

test('a derivation is sought in: the player asks for the middle and plays on', async () => {
  const { audioUrl } = await open('speech.gsm', 'audio/gsm');
  await tab.do('play', 'sought', audioUrl);
  expect(await tab.do('seek', 'sought', 5.5)).toBeGreaterThan(5.7);
});

test('AMR: none, and it does not play', async () => {
  const { playable, audioUrl } = await open('amr_nb.amr-nb', 'audio/amr');
  expect(playable).toBe('none');
  expect(await tab.do('embed', 'audio', audioUrl)).not.toBe('loaded');
});
