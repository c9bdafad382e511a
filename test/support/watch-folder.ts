import { createHash } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type Agent, createPbxHost, type Given, type PbxHost } from './agent.ts';
import { generatedCall } from './generated-call.ts';
import { jsonOf } from './http-client.ts';
import { startScene } from './scene.ts';

type Event = Record<string, unknown> & { readonly event: string };

export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
/** Events of a run with `--json`. */
export const eventsOf = (out: string): Event[] =>
  out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Event);
export const ofKind = (agent: Agent, kind: string): readonly Record<string, unknown>[] =>
  agent.events().filter(({ event }) => event === kind);
export const end = async (agent: Agent): Promise<number | null> => {
  agent.signal('SIGTERM');
  return (await agent.ended).code;
};

/** A vault for the tests of a file, and for each of them a folder that `callvault watch` empties into it. */
export const watchesFolder = () => {
  let scene: Awaited<ReturnType<typeof startScene>>;
  let host: PbxHost;
  let seed = 1_900;
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

  // Not every machine that tests run on lets them look into its processes; what becomes of that has tests of its own.
  const argsOf = (args: readonly string[], url = scene.vault.url, restS = 0.3): string[] => [
    ...['watch', host.spool, '--url', url, '--key-file', host.keyFile, '--json'],
    ...['--interval', String(restS), '--longest-pause', '0.5', ...args],
    ...(args.includes('--unseen-rest') ? [] : ['--unseen-rest', '0']),
  ];
  return {
    /** Of the test that runs. */
    get host(): PbxHost {
      return host;
    },
    get scene() {
      return scene;
    },
    argsOf,
    newCall: (seconds = 1): Buffer => {
      seed += 1;
      return generatedCall(seconds, seed);
    },
    watch: (args: readonly string[] = [], url?: string, given?: Given): Agent =>
      host.start(argsOf(args, url), given),
    once: (args: readonly string[] = [], url?: string) => host.run(argsOf(['--once', ...args], url)),
    /** The address of a server that lasts as long as the test. */
    serverOf: async (listener: RequestListener): Promise<string> => {
      const server = createServer(listener);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closing.push(() => {
        server.closeAllConnections();
        server.close();
      });
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    recordingsOf: async (query: object): Promise<{ id: string }[]> =>
      jsonOf<{ recordings: { id: string }[] }>(
        await scene.http.post('/v1/recordings/search', { token: await scene.own.nurse.token(), json: query }),
        200,
      ).recordings,
  };
};
