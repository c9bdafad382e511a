import { randomBytes, randomUUID } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Reply } from './http-client.ts';
import { replyOf } from './raw-http.ts';

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const HEAD_END = '\r\n\r\n';

export type Closed = { readonly code: number; readonly reason: string };

/** mod_audio_fork of jambonz, frame by frame on a bare connection: what is written is what goes out. */
export type LiveSender = {
  /** The answer to the handshake: 101, or a refusal. */
  readonly reply: Reply;
  readonly socket: Socket;
  /** What the vault closed with; 1006 where the connection ended without a close frame. */
  readonly closed: Promise<Closed>;
  say(frame: unknown): void;
  sound(samples: Buffer): Promise<void>;
  frame(
    opcode: number,
    payload: Buffer,
    options?: { readonly fin?: boolean; readonly first?: number },
  ): Buffer;
  write(bytes: Buffer): Promise<void>;
  /** Says that the call has ended, and waits for the answer. */
  hangUp(code?: number): Promise<Closed>;
  /** The connection is gone, without a word. */
  cut(): void;
};

/** What libwebsockets writes for mod_audio_fork. */
const handshake = (path: string, headers: Readonly<Record<string, string>>): string =>
  [
    `GET ${path} HTTP/1.1`,
    ...Object.entries({
      Pragma: 'no-cache',
      'Cache-Control': 'no-cache',
      Host: 'vault.example.se',
      Origin: 'http://vault.example.se',
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Protocol': 'audio.drachtio.org',
      'Sec-WebSocket-Version': '13',
      ...headers,
    }).map(([name, value]) => `${name}: ${value}`),
    HEAD_END,
  ]
    .join('\r\n')
    .replace(`\r\n${HEAD_END}`, HEAD_END);

/** As RFC 6455 §5.2 has it, masked. */
const frameOf = (opcode: number, payload: Buffer, { fin = true, first = 0 } = {}): Buffer => {
  const mask = randomBytes(4);
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = first || (fin ? 0x80 : 0) | opcode;
  head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  const masked = Buffer.from(payload);
  for (let n = 0; n < length; n += 1) masked[n] = masked[n]! ^ mask[n % 4]!;
  return Buffer.concat([head, mask, masked]);
};

/** Answers pings as libwebsockets does, and tells of a close. */
const readFrames = (socket: Socket, answersPings: boolean, onClose: (closed: Closed) => void) => {
  let waiting = Buffer.alloc(0);
  return (chunk: Buffer): void => {
    waiting = Buffer.concat([waiting, chunk]);
    // The vault sends nothing but control frames, which are short.
    while (waiting.length >= 2 && waiting.length >= 2 + (waiting[1]! & 0x7f)) {
      const end = 2 + (waiting[1]! & 0x7f);
      const payload = waiting.subarray(2, end);
      const opcode = waiting[0]! & 0x0f;
      if (opcode === PING && answersPings) socket.write(frameOf(PONG, payload));
      if (opcode === CLOSE)
        onClose({
          code: payload.length < 2 ? 1005 : payload.readUInt16BE(0),
          reason: payload.toString('utf8', 2),
        });
      waiting = waiting.subarray(end);
    }
  };
};

export type Dial = {
  readonly apiKey: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly answersPings?: boolean;
  /** Sent in one piece with the handshake. */
  readonly before?: string;
};

/** Resolves when the handshake is answered. */
export const openLive = (
  url: string,
  { apiKey, path = '/v1/ingest/jambonz/record/aws_s3', headers = {}, answersPings = true, before = '' }: Dial,
): Promise<LiveSender> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    let head = '';
    let tell: (closed: Closed) => void;
    const closed = new Promise<Closed>((done) => (tell = done));
    const read = readFrames(socket, answersPings, (said) => {
      tell(said);
      socket.end();
    });
    const write = (bytes: Buffer): Promise<void> =>
      new Promise((done) => (socket.destroyed ? done() : void socket.write(bytes, () => done())));
    const answered = (reply: Reply): void =>
      resolve({
        reply,
        socket,
        closed,
        write,
        frame: frameOf,
        say: (frame) => void write(frameOf(TEXT, Buffer.from(JSON.stringify(frame)))),
        sound: (samples) => write(frameOf(BINARY, samples)),
        async hangUp(code = 1000) {
          const payload = Buffer.alloc(2);
          payload.writeUInt16BE(code);
          await write(frameOf(CLOSE, payload));
          return closed;
        },
        cut: () => void socket.destroy(),
      });
    socket.on('error', (error) => reject(error));
    socket.on('close', () => {
      tell({ code: 1006, reason: '' });
      answered(replyOf(head));
    });
    socket.on('data', (chunk: Buffer) => {
      if (head.includes(HEAD_END) && head.startsWith('HTTP/1.1 101')) return read(chunk);
      head += chunk.toString('latin1');
      const end = head.indexOf(HEAD_END);
      if (end === -1 || !head.startsWith('HTTP/1.1 101')) return;
      const rest = Buffer.from(head.slice(end + 4), 'latin1');
      head = head.slice(0, end + 4);
      answered(replyOf(head));
      read(rest);
    });
    const authorization = `Basic ${Buffer.from(`jambonz:${apiKey}`).toString('base64')}`;
    socket.write(before + handshake(path, { Authorization: authorization, ...headers }));
  });

/** The first frame as lib/tasks/listen.js and lib/session/call-info.js of jambonz-feature-server make it. */
export const openingFrame = (about: Readonly<Record<string, unknown>> = {}) => ({
  sampleRate: 8000,
  mixType: 'stereo',
  callSid: randomUUID(),
  direction: 'inbound',
  from: '0701740605',
  to: '1177',
  callId: `${randomUUID()}@10.0.0.7`,
  sipStatus: 200,
  sipReason: 'OK',
  callStatus: 'in-progress',
  accountSid: randomUUID(),
  traceId: randomBytes(16).toString('hex'),
  applicationSid: randomUUID(),
  fsSipAddress: '10.0.0.7:5060',
  originatingSipIp: '10.0.0.9',
  originatingSipTrunkName: 'trunk',
  ...about,
});
