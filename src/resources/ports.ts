import { createServer } from 'node:net';
import type { Config } from '../config.ts';
import { AppError } from '../core/errors.ts';

/** What kept the vault from its port, as a sentence where it is one of the usual reasons; any other error as it is. */
export const portError = (error: unknown, { metricsPort }: Pick<Config, 'metricsPort'>): unknown => {
  const { code, address, port } = error as { code?: string; address?: string; port?: number };
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new AppError(
      'config_invalid',
      'HOST is no address of this machine: set it to one that is, 127.0.0.1 for this machine alone.',
    );
  const name = port === metricsPort ? 'METRICS_PORT' : 'PORT';
  if (code === 'EADDRINUSE')
    return new AppError('config_invalid', `Port ${port} on ${address} is in use: set ${name} to a free one.`);
  if (code === 'EACCES')
    return new AppError(
      'config_invalid',
      `Port ${port} needs more rights than this process has: set ${name} above 1023.`,
    );
  return error;
};

/** Takes the address and gives it back. Whoever connects in between is turned away: closing waits for nobody. */
const tryOut = (host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen({ host, port }, () => server.close(() => resolve()));
  });

/** What keeps this process from its ports now. Nothing says that they are still free later; whoever listens finds out. */
export const portFaults = async (
  config: Pick<Config, 'host' | 'port' | 'metricsPort'>,
): Promise<readonly unknown[]> => {
  const { host, port, metricsPort } = config;
  const wanted: [string, number][] = [[host, port]];
  if (metricsPort !== null) wanted.push(['127.0.0.1', metricsPort]);
  const faults: unknown[] = [];
  for (const [name, number] of wanted)
    await tryOut(name, number).catch((error: unknown) => faults.push(portError(error, config)));
  return faults;
};
