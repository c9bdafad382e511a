import { connect, type Socket } from 'node:net';
import { processorMs } from './processor-time.ts';

/** A closed-loop HTTP/1.1 load on loopback: cheap enough not to be what is measured. */
export type Load = {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** The bytes of the next request on this connection: head, and body if any. */
  readonly next: (connection: number, turn: number) => readonly Buffer[];
  /** Statuses that count as success. */
  readonly expect: readonly number[];
  /** Process whose processor time, with its descendants', is divided by the requests. */
  readonly server: number;
};

export type LoadResult = {
  readonly requests: number;
  readonly perSecond: number;
  readonly megabytesPerSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Processor milliseconds of the server per request. */
  readonly cpuMs: number;
};

const END_OF_HEAD = Buffer.from('\r\n\r\n');

type Answer = { readonly status: number; readonly bytes: number };

/** Resolves when one whole answer, delimited by Content-Length, has been read. */
const exchange = (socket: Socket, request: readonly Buffer[]): Promise<Answer> =>
  new Promise((resolve, reject) => {
    let head: Buffer = Buffer.alloc(0);
    let wanted = -1;
    let status = 0;
    let bytes = 0;
    const done = (error: Error | null): void => {
      socket.off('data', onData);
      socket.off('error', onError);
      socket.off('close', onClose);
      if (error === null) resolve({ status, bytes });
      else reject(error);
    };
    const onError = (error: Error): void => done(error);
    const onClose = (): void => done(new Error(`the connection ended after ${bytes} of ${wanted} bytes`));
    const onData = (chunk: Buffer): void => {
      let body = chunk.length;
      if (wanted < 0) {
        head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
        const end = head.indexOf(END_OF_HEAD);
        if (end < 0) return;
        const text = head.toString('latin1', 0, end);
        status = Number(text.slice(9, 12));
        wanted = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
        body = head.length - end - 4;
      }
      bytes += body;
      if (bytes >= wanted) done(null);
    };
    socket.on('data', onData);
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.cork();
    for (const part of request) socket.write(part);
    socket.uncork();
  });

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.floor((sorted.length - 1) * q)] ?? 0;

export const runLoad = async (load: Load): Promise<LoadResult> => {
  const times: number[] = [];
  let bytes = 0;
  const until = performance.now() + load.seconds * 1000;
  const worker = async (connection: number): Promise<void> => {
    const socket = connect({ port: load.port, host: '127.0.0.1', noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    for (let turn = 0; performance.now() < until; turn += 1) {
      const begun = performance.now();
      const answer = await exchange(socket, load.next(connection, turn));
      if (!load.expect.includes(answer.status)) throw new Error(`answered ${answer.status}`);
      times.push(performance.now() - begun);
      bytes += answer.bytes;
    }
    socket.destroy();
  };
  const begun = performance.now();
  const cpuBefore = processorMs(load.server);
  await Promise.all(Array.from({ length: load.connections }, (_, connection) => worker(connection)));
  const seconds = (performance.now() - begun) / 1000;
  const cpu = processorMs(load.server) - cpuBefore;
  times.sort((a, b) => a - b);
  return {
    requests: times.length,
    perSecond: times.length / seconds,
    megabytesPerSecond: bytes / seconds / 1e6,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    cpuMs: cpu / times.length,
  };
};

export const head = (lines: readonly string[]): Buffer =>
  Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
