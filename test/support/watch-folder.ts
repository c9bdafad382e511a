import type { Agent, Given, PbxHost } from './agent.ts';
import { pbxBesideVault } from './pbx-beside-vault.ts';

export { sha256 } from './care-line.ts';

type Event = Record<string, unknown> & { readonly event: string };

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
  const pbx = pbxBesideVault();

  // Not every machine that tests run on lets them look into its processes; what becomes of that has tests of its own.
  const argsOf = (args: readonly string[], url = pbx.scene.vault.url, restS = 0.3): string[] => [
    ...['watch', pbx.host.spool, '--url', url, '--key-file', pbx.host.keyFile, '--json'],
    ...['--interval', String(restS), '--longest-pause', '0.5', ...args],
    ...(args.includes('--unseen-rest') ? [] : ['--unseen-rest', '0']),
  ];
  return {
    /** Of the test that runs. */
    get host(): PbxHost {
      return pbx.host;
    },
    get scene() {
      return pbx.scene;
    },
    argsOf,
    newCall: pbx.newCall,
    watch: (args: readonly string[] = [], url?: string, given?: Given): Agent =>
      pbx.host.start(argsOf(args, url), given),
    once: (args: readonly string[] = [], url?: string) => pbx.host.run(argsOf(['--once', ...args], url)),
    serverOf: pbx.serverOf,
    recordingsOf: pbx.recordingsOf,
  };
};
