import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** Ports that a test process has for itself, as long as there are not more than {@link SHARES} of them. */
const SHARE = 100;
const SHARES = 64;
const share = (Number(process.env.VITEST_POOL_ID ?? process.pid) || process.pid) % SHARES;

/** The system gives ports from here on to whoever asks for any, and to every connection that goes out. */
const firstGivenOut = Number(
  readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0] ?? 32_768,
);
const first = Math.max(firstGivenOut, 16_384) - (share + 1) * SHARE;
let next = Math.floor(Math.random() * SHARE);

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/**
 * A port nobody listens on now, for a vault that comes back at the same address. It is none that the system gives away: one
 * of those may belong to somebody's connection by the time the vault comes back.
 */
export const freePort = async (): Promise<string> => {
  for (let tries = 0; tries < SHARE; tries += 1) {
    const port = first + (next++ % SHARE);
    if (await isFree(port)) return String(port);
  }
  throw new Error(`none of the ports ${first} to ${first + SHARE - 1} is free`);
};
