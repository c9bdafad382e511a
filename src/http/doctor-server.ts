import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { ExamineVault } from '../services/examine-vault.ts';

export type DoctorServer = { readonly path: string; close(): void };

/**
 * Answers `callvault doctor`, whatever it is asked, on a Unix socket in a folder that this user alone may enter. Only the
 * running vault knows what it runs with; a command has the settings of its own shell. Rejects when the socket cannot be made.
 */
export const openDoctorServer = async (examine: ExamineVault, path: string): Promise<DoctorServer> => {
  const server = createServer((_request, response) => {
    examine().then(
      (found) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found)),
      () => response.writeHead(500).end(),
    );
  });
  // Of a vault that was killed; whoever holds the data folder is alone here.
  await rm(path, { force: true });
  server.listen(path);
  await once(server, 'listening');
  return {
    path,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
};
