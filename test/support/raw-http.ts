import { connect, type Socket } from 'node:net';
import type { Reply } from './http-client.ts';

/** A connection on which nothing is right by itself: what is written is what goes out. */
export type RawConnection = {
  readonly socket: Socket;
  /** Everything that came, once the other side has closed. */
  readonly closed: Promise<string>;
  write(bytes: string | Buffer): void;
};

export const openRaw = (url: string): Promise<RawConnection> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    let text = '';
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    const closed = new Promise<string>((done) => {
      socket.once('end', () => socket.end());
      socket.once('close', () => done(text));
    });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.on('error', () => undefined);
      resolve({ socket, closed, write: (bytes) => void socket.write(bytes) });
    });
  });

/** The first answer in what came. */
export const replyOf = (text: string): Reply => {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [status = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const body = Buffer.from(rest.join('\r\n\r\n').slice(0, Number(headers['content-length'] ?? 0)), 'latin1');
  return { status: Number(status.split(' ')[1] ?? 0), headers, body, text: body.toString('utf8') };
};

/** How many answers there are in what came. */
export const answersIn = (text: string): number => text.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0;

/** Sends these bytes, and whatever the server says until it closes; `end` says no more is coming. */
export const sendRaw = async (
  url: string,
  bytes: string | Buffer,
  { end = true }: { readonly end?: boolean } = {},
): Promise<string> => {
  const { socket, closed, write } = await openRaw(url);
  write(bytes);
  if (end) socket.end();
  return closed;
};

/** Sends one byte per interval, for ever, until the server has had enough. */
export const dribble = async (
  url: string,
  begin: string,
  byte: string,
  intervalMs: number,
): Promise<string> => {
  const { socket, closed, write } = await openRaw(url);
  write(begin);
  const timer = setInterval(() => {
    if (socket.writable) write(byte);
  }, intervalMs);
  return closed.finally(() => clearInterval(timer));
};
