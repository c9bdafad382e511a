import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createPbxHost, type PbxHost } from './agent.ts';
import { generatedCall } from './generated-call.ts';
import { jsonOf } from './http-client.ts';
import { startScene } from './scene.ts';

/** A recording as its nurse finds it. */
type Found = { readonly id: string; readonly callerNumber: string };

/** A vault for the tests of a file, and for each of them a telephony host whose agents deliver to it. */
export const pbxBesideVault = () => {
  let scene: Awaited<ReturnType<typeof startScene>>;
  let host: PbxHost;
  let seed = 900;
  const closing: (() => void)[] = [];

  beforeAll(async () => {
    scene = await startScene();
  });
  afterAll(() => scene?.close());
  beforeEach(() => {
    host = createPbxHost(scene.home.source.apiKey);
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) close();
    await host.close();
  });

  return {
    get scene() {
      return scene;
    },
    /** Of the test that runs. */
    get host(): PbxHost {
      return host;
    },
    /** Of other sound than every call before. */
    newCall: (seconds = 1): Buffer => {
      seed += 1;
      return generatedCall(seconds, seed);
    },
    /** The address of a server, which is no vault, that lasts as long as the test. */
    serverOf: async (listener: RequestListener): Promise<string> => {
      const server = createServer(listener);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closing.push(() => {
        server.closeAllConnections();
        server.close();
      });
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    recordingsOf: async <R extends object = Found>(query: object): Promise<R[]> =>
      jsonOf<{ recordings: R[] }>(
        await scene.http.post('/v1/recordings/search', { token: await scene.own.nurse.token(), json: query }),
        200,
      ).recordings,
  };
};
