import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificates.ts';

const hex = (): string => randomBytes(16).toString('hex');

/** What the provider does when it is asked; the default hands over the recording, and deletes it. */
export type Answer = (response: ServerResponse, request: IncomingMessage, audio: Buffer) => void;
const handOver: Answer = (response, { method }, audio) => {
  if (method === 'DELETE') response.writeHead(204).end();
  else response.writeHead(200, { 'content-type': 'audio/x-wav', 'content-length': audio.length }).end(audio);
};

export type Asked = {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | null;
};

/** A telephony provider, HTTPS on loopback: keeps recordings, and answers whoever has the account's token. */
export const startProvider = async ({ certFile, keyFile }: Certificate, audio: Buffer) => {
  const account = { accountSid: `AC${hex()}`, authToken: hex() };
  const asked: Asked[] = [];
  let answer = handOver;
  let connections = 0;
  const server = createServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile) },
    (request, response) => {
      const { method = '', url = '', headers } = request;
      asked.push({ method, url, authorization: headers.authorization ?? null });
      answer(response, request, audio);
    },
  );
  server.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const host = `127.0.0.1:${port}`;
  return {
    ...account,
    basic: `Basic ${Buffer.from(`${account.accountSid}:${account.authToken}`).toString('base64')}`,
    host,
    asked,
    about: (recordingSid: string, method = 'GET'): Asked[] =>
      asked.filter((one) => one.method === method && one.url.includes(recordingSid)),
    connections: () => connections,
    behave(next: Answer = handOver): void {
      answer = next;
    },
    /** The parameters of recordingStatusCallback as Twilio's documentation lists them. */
    callback: (about: Readonly<Record<string, string>> = {}) => {
      const { RecordingSid = `RE${hex()}` } = about;
      return {
        AccountSid: account.accountSid,
        CallSid: `CA${hex()}`,
        RecordingSid,
        RecordingUrl: `https://${host}/2010-04-01/Accounts/${account.accountSid}/Recordings/${RecordingSid}`,
        RecordingStatus: 'completed',
        RecordingDuration: '2',
        RecordingChannels: '1',
        RecordingStartTime: new Date(Date.now() - 86_400_000).toUTCString().replace('GMT', '+0000'),
        RecordingSource: 'DialVerb',
        RecordingTrack: 'both',
        ErrorCode: '0',
        ...about,
      };
    },
    close(): void {
      server.close();
      server.closeAllConnections();
    },
  };
};

export type Provider = Awaited<ReturnType<typeof startProvider>>;

/** As twilio.com/docs/usage/security has it. */
export const twilioSignature = (
  url: string,
  token: string,
  form: Readonly<Record<string, string>>,
): string => {
  const parameters = Object.keys(form)
    .sort()
    .map((name) => name + form[name])
    .join('');
  return createHmac('sha1', token)
    .update(url + parameters)
    .digest('base64');
};
