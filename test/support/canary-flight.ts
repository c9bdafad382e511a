import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { canary } from './canary.ts';
import { generatedCall } from './generated-call.ts';
import { type Ask, formOf, uploadForm } from './http-client.ts';
import { openingFrame, openLive } from './live-sender.ts';
import type { Scene } from './scene.ts';
import { metadataHeader } from './tus.ts';

const { number, international, digits, personalNumber, word } = canary;
const both = `${word}${digits}`;

/** Everything a telephony system may say about a call, each time with the canary in it. */
export const taintedMetadata = () => ({
  callId: `${both}-${randomUUID()}`,
  callerNumber: number,
  calledNumber: international,
  agentId: `${word} ${number}`,
  queue: `${word} ${digits}`,
  personalNumber,
  originalName: `In/${both} ${number}.wav`,
});

/** Sound that says the number in its own header fields. */
export const taintedAudio = (): Buffer =>
  Buffer.concat([generatedCall(2, 93), Buffer.from(`LIST\x20\x00\x00\x00INFOICMT${both} ${number}`)]);

const headersOf = (metadata: ReturnType<typeof taintedMetadata>): Record<string, string> => ({
  'x-call-id': metadata.callId,
  'x-call-caller-number': metadata.callerNumber,
  'x-call-called-number': metadata.calledNumber,
  'x-call-agent-id': metadata.agentId,
  'x-call-queue': metadata.queue,
  'x-call-personal-number': metadata.personalNumber,
  'x-call-original-name': metadata.originalName,
});

/** Headers of which the vault wants to know nothing. */
export const noise: Readonly<Record<string, string>> = {
  'user-agent': `${both}/${international}`,
  referer: `http://${word}.example/${digits}`,
  origin: `http://${both}.example`,
  cookie: `__Host-cv=${both}; ${word}=${digits}`,
  'x-request-id': both,
  'x-forwarded-for': `${both}, ${number}`,
  forwarded: `for=${both}`,
  traceparent: both,
  [`x-${word}-${digits}`]: number,
  'accept-language': both,
  'if-none-match': `"${both}"`,
};

type Sent = readonly [method: string, path: string, ask: Ask];

/** Deliveries that are accepted. */
const accepted = (): Sent[] => {
  const metadata = taintedMetadata();
  const form = formOf([
    { name: 'metadata', content: JSON.stringify(taintedMetadata()), filename: `${both}.json` },
    { name: 'audio', content: taintedAudio(), filename: `${both} ${number}.wav`, type: `${word}/${digits}` },
  ]);
  return [
    ['POST', '/v1/recordings', { form: uploadForm(metadata, taintedAudio()), headers: noise }],
    ['POST', '/v1/recordings', { form, headers: noise }],
    ['PUT', `/v1/ingest/${word}-call.wav`, { body: taintedAudio(), headers: { ...noise } }],
    ['PUT', `/v1/ingest/${randomUUID()}`, { body: taintedAudio(), headers: headersOf(taintedMetadata()) }],
  ];
};

const uploadOf = (metadata: Readonly<Record<string, string>>, bytes: number): Ask => ({
  headers: {
    ...noise,
    'tus-resumable': '1.0.0',
    'upload-length': String(bytes),
    'upload-metadata': metadataHeader(metadata),
  },
});

/** One in parts, with the canary in every word and byte of it, unfinished: what lies there is not even a recording. */
const inParts = async ({ http, home }: Scene): Promise<void> => {
  const audio = taintedAudio();
  const { originalName: filename, ...metadata } = taintedMetadata();
  const asked = { token: home.source.apiKey, ...uploadOf({ ...metadata, filename }, audio.length + 1) };
  const { headers: begun } = await http.post('/v1/uploads', asked);
  const headers = { ...noise, 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' };
  const part = { token: home.source.apiKey, body: audio, headers: { ...headers, 'upload-offset': '0' } };
  const kept = await http.patch(begun.location ?? '', part);
  if (kept.status !== 204) throw new Error(`answered ${kept.status}: ${kept.text}`);
  await http.head(begun.location ?? '', {
    token: home.source.apiKey,
    headers: { ...noise, 'tus-resumable': '1.0.0' },
  });
};

/** Calls that are recorded while they last: one that is stored, and others that are refused. */
const live = async ({ http, home }: Scene): Promise<string[]> => {
  const { apiKey } = home.source;
  const opening = openingFrame({
    callSid: `${both}-${randomUUID()}`,
    ...{ from: number, to: international, personalNumber, agentId: `${word} ${number}` },
    ...{
      callId: both,
      accountSid: both,
      traceId: digits,
      originatingSipTrunkName: both,
      customerData: { [both]: number },
    },
  });
  const begin = async (frame: object) => {
    const call = await openLive(http.url, {
      apiKey,
      headers: { Origin: `http://${both}`, 'User-Agent': both },
    });
    call.say(frame);
    call.say({ event: 'dtmf', dtmf: digits, duration: both });
    await call.sound(taintedAudio().subarray(44));
    return call;
  };
  const stored = await begin(opening);
  const refused = await begin({ ...opening, mixType: both, [both]: number });
  // Stored with what could be used of it; of the rest nothing is kept.
  const faulty = await begin({
    ...opening,
    callSid: `${both}-${randomUUID()}`,
    careUnit: both,
    direction: both,
  });
  const elsewhere = await openLive(http.url, {
    apiKey: both,
    path: `/v1/ingest/jambonz/record/${both}`,
    headers: { 'Sec-WebSocket-Protocol': word, 'Sec-WebSocket-Key': both },
  });
  const closed = await Promise.all([stored.hangUp(), faulty.hangUp(), refused.closed]);
  for (const { reason } of closed.slice(0, 2))
    if (reason !== 'stored') throw new Error(`a live call was not stored: ${reason}`);
  return [...closed.map(({ code, reason }) => `${code} ${reason}`), elsewhere.reply.text];
};

/** Calls that are announced, and what rtpengine says of one; taken and refused. */
const announcements = (): Sent[] => {
  const call = (about: object = {}): object => ({
    callId: `${both}-${randomUUID()}`,
    startedAt: new Date().toISOString(),
    callerNumber: number,
    calledNumber: international,
    ...about,
  });
  const csv = (body: string): Ask => ({ body, headers: { ...noise, 'content-type': 'text/csv' } });
  const notified = {
    'x-recording-call-id': `${both}-${randomUUID()}`,
    'x-recording-file-name': `${both} ${digits}-mix.wav`,
    'x-recording-full-file-name': `/${both}/${number}`,
    'x-recording-call-metadata': `callerNumber:${number}|${word}:${digits}|personalNumber:${personalNumber}`,
  };
  const ngfile = formOf([{ name: 'ngfile', content: taintedAudio(), filename: `${both}.wav` }]);
  return [
    ['POST', '/v1/calls', { json: call(), headers: noise }],
    ['POST', '/v1/calls', { json: { calls: [call(), call({ [both]: number }), call({ reason: both })] } }],
    ['POST', `/v1/calls?timeZone=${both}`, { json: call() }],
    ['POST', '/v1/calls', csv(`uniqueid,start,src,dst\n${both},1763629200,${digits},${international}\n`)],
    ['POST', '/v1/calls', csv(`uniqueid,start,${both}\n${both},${number},${digits}\n"${both}"x`)],
    [
      'POST',
      '/v1/calls',
      csv(`uniqueid,start,billsec\n${both},${number},${digits}\n${both},1763629200,${digits}\n`),
    ],
    ['POST', '/v1/ingest/rtpengine', { form: ngfile, headers: { ...noise, ...notified } }],
    [
      'POST',
      '/v1/ingest/rtpengine',
      { form: ngfile, headers: { ...notified, 'x-recording-stream-start-time': number } },
    ],
  ];
};

/** Deliveries that are not. */
const refused = (): Sent[] => {
  const form = (metadata: unknown): Ask => ({ form: uploadForm(metadata, taintedAudio()) });
  const put = (name: string, headers: Record<string, string> = {}): Sent => [
    'PUT',
    `/v1/ingest/${name}`,
    { body: taintedAudio(), headers: { ...noise, ...headers } },
  ];
  const part = { name: 'metadata', content: JSON.stringify(taintedMetadata()) };
  return [
    ['POST', '/v1/recordings', form({ ...taintedMetadata(), [both]: number })],
    ['POST', '/v1/recordings', form({ ...taintedMetadata(), [number]: { [digits]: number } })],
    ['POST', '/v1/recordings', form({ ...taintedMetadata(), callerNumber: { [both]: 1 } })],
    ['POST', '/v1/recordings', form({ ...taintedMetadata(), announcement: both })],
    ['POST', '/v1/recordings', form({ ...taintedMetadata(), careUnit: both })],
    ['POST', '/v1/recordings', form({ ...taintedMetadata(), startedAt: both, direction: both })],
    ['POST', '/v1/recordings', form({ ...taintedMetadata(), personalNumber: both })],
    [
      'POST',
      '/v1/recordings',
      { form: { contentType: 'multipart/form-data; boundary=x', body: Buffer.from(both) } },
    ],
    [
      'POST',
      '/v1/recordings',
      { body: both, headers: { 'content-type': `multipart/form-data; boundary=${both}` } },
    ],
    ['POST', '/v1/recordings', { form: formOf([{ name: both, content: both, filename: both }]) }],
    ['POST', '/v1/recordings', { form: formOf([part, { name: both, content: both }]) }],
    ['POST', '/v1/recordings', { form: formOf([part, { name: 'sha256', content: both }]) }],
    ['POST', '/v1/recordings', { form: formOf([{ ...part, content: `{"${both}` }]) }],
    ['POST', '/v1/recordings', { body: both, headers: { 'content-type': `${word}/${digits}` } }],
    put(`${digits}.wav`),
    put(encodeURIComponent(number)),
    put(encodeURIComponent(international)),
    put(`${both}.wav`),
    put(randomUUID(), { [`x-call-${both}`]: number }),
    put(randomUUID(), { 'x-call-segment': both }),
    put(randomUUID(), { 'x-call-channels': both, 'x-call-pauses': number }),
    put(randomUUID(), { ...headersOf(taintedMetadata()), 'content-digest': `sha-256=${both}` }),
    put(randomUUID(), { ...headersOf(taintedMetadata()), 'content-digest': `sha-256=:${'A'.repeat(43)}=:` }),
    ['PUT', `/v1/ingest/${randomUUID()}`, { body: `\x7fELF${both}`, headers: headersOf(taintedMetadata()) }],
    ['POST', '/v1/uploads', uploadOf({ ...taintedMetadata(), [both]: number }, 1)],
    ['POST', '/v1/uploads', uploadOf({ ...taintedMetadata(), startedAt: both, filetype: both }, 1)],
    [
      'POST',
      '/v1/uploads',
      { headers: { 'tus-resumable': both, 'upload-length': digits, 'upload-metadata': both } },
    ],
    [
      'PATCH',
      `/v1/uploads/${digits}`,
      { body: both, headers: { 'tus-resumable': '1.0.0', 'upload-offset': both } },
    ],
  ];
};

/** Searches and reads that fail. */
const searches = (): Sent[] => [
  ['POST', '/v1/recordings/search', { json: { callerNumber: both } }],
  ['POST', '/v1/recordings/search', { json: { personalNumber: both } }],
  ['POST', '/v1/recordings/search', { json: { [both]: number } }],
  ['POST', '/v1/recordings/search', { json: { cursor: both, from: both } }],
  ['POST', '/v1/recordings/search', { json: { from: both } }],
  ['POST', '/v1/recordings/search', { json: { careUnit: both } }],
  ['POST', '/v1/recordings/search', { json: { originalName: both, queue: word, agentId: number } }],
  ['POST', `/v1/recordings/search?callerNumber=${digits}`, { json: { callerNumber: '070-174 06 94' } }],
  [
    'POST',
    '/v1/recordings/search',
    { body: `{"callerNumber":"${both}`, headers: { 'content-type': 'application/json' } },
  ],
  ['GET', `/v1/recordings/${digits}`, {}],
  ['GET', `/v1/recordings/${both}?${word}=${digits}`, { headers: noise }],
  ['POST', `/v1/recordings/${digits}/playbacks`, { json: { purpose: both } }],
  ['GET', `/v1/playbacks/${digits}/audio`, { headers: { range: `bytes=${digits}-`, 'if-range': both } }],
  ['POST', `/v1/playbacks/${both}/heard`, { json: { spans: [[both, digits]] } }],
  ['GET', `/${both}/${encodeURIComponent(number)}?${word}=${digits}#${digits}`, { headers: noise }],
  ['POST', `/${both}`, { json: { [both]: number } }],
  ['GET', `/v1/audit/entries/${digits}${digits}`, {}],
];

/** What strangers try. */
const knocks = (): Sent[] => [
  ['POST', '/v1/auth/login', { json: { email: `${both}@${word}.example`, password: both }, headers: noise }],
  ['POST', '/v1/auth/login', { json: { email: number, password: international, [both]: 1 } }],
  ['POST', '/v1/auth/login', { body: both, headers: { 'content-type': both } }],
  [
    'POST',
    '/v1/auth/token',
    {
      body: `grant_type=client_credentials&client_id=${both}&client_secret=${both}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
  ],
  [
    'POST',
    '/v1/auth/token',
    {
      body: `grant_type=${both}&${both}=1`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    },
  ],
  ['GET', '/v1/auth/me', { token: both }],
  ['GET', '/v1/auth/me', { token: `cv_key_${both}` }],
  [
    'GET',
    '/v1/auth/me',
    { token: `${Buffer.from(`{"alg":"none","kid":"${both}"}`).toString('base64url')}.e30.` },
  ],
  ['GET', '/v1/auth/me', { headers: { authorization: `Basic ${Buffer.from(both).toString('base64')}` } }],
  ['POST', '/v1/auth/refresh', { json: {}, headers: { ...noise, 'sec-fetch-site': 'same-origin' } }],
];

/** Bytes that are no request, or one that is cut off. */
const raw = (url: string, bytes: string): Promise<string> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    let text = '';
    const socket = connect(Number(port), hostname, () => socket.end(bytes));
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.once('close', () => resolve(text));
  });

const broken = (key: string): string[] => [
  `GET /${digits} ${word}\r\n\r\n`,
  `${word.toUpperCase()} /${digits} HTTP/1.1\r\nHost: ${both}\r\n\r\n`,
  `GET /healthz HTTP/1.1\r\nHost: ${both}\r\n${both}\x01: ${number}\r\n\r\n`,
  `GET /${both}${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"email":"${both}`,
  `PUT /v1/ingest/${word}-cut HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nX-Call-Id: ${both}\r\n` +
    `X-Call-Caller-Number: ${number}\r\nContent-Length: 900000\r\n\r\nRIFF${both}`,
];

/** The log, asked for a patient by her number, rightly and wrongly. */
const logQuestions = (token: string): Sent[] => {
  const search = (json: object): Sent => ['POST', '/v1/audit/search', { token, json }];
  return [
    search({ callerNumber: number }),
    search({ callerNumber: number, format: 'csv' }),
    search({ personalNumber }),
    search({ personalNumber, format: 'fhir' }),
    search({ personalNumber, callerNumber: number }),
    search({ callerNumber: both }),
    search({ personalNumber: digits }),
    search({ format: both }),
    ['POST', '/v1/audit/search', { token, json: {}, headers: { accept: both } }],
    ['GET', `/v1/audit/recordings/${digits}/hearers`, { token }],
    ['GET', `/v1/audit/actors/${both}/activity?from=${digits}`, { token }],
  ];
};

/**
 * Puts the canary wherever an outsider can put anything: accepted, refused, cut off, in every part of a request. Returns
 * what came back to raw sockets; the rest is for whoever observes the scene's client.
 */
export const release = async (scene: Scene): Promise<string[]> => {
  const { http, home, own } = scene;
  const key = home.source.apiKey;
  const nurse = await own.nurse.token();
  const compliance = await home.compliance.token();
  const logSearches = ['recording', 'subject', 'cursor', 'actor', both];
  const all: Sent[] = [
    ...[...accepted(), ...announcements(), ...refused()].map(
      ([method, path, ask]): Sent => [method, path, { token: key, ...ask }],
    ),
    ...searches().map(([method, path, ask]): Sent => [method, path, { token: nurse, ...ask }]),
    ...logSearches.map(
      (field): Sent => ['POST', '/v1/audit/search', { token: compliance, json: { [field]: both } }],
    ),
    ...logQuestions(compliance),
    ...knocks(),
  ];
  for (const [method, path, ask] of all) await http.ask(method, path, ask);
  await inParts(scene);
  return [...(await live(scene)), ...(await Promise.all(broken(key).map((bytes) => raw(http.url, bytes))))];
};
