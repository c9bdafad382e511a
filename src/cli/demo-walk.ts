import { AppError } from '../core/errors.ts';
import type { DemoScene } from './demo-setup.ts';
import type { DemoVault } from './demo-vault.ts';

type Tell = (line: string) => void;
type Entry = {
  readonly seq: number;
  readonly at: string;
  readonly action: string;
  readonly outcome: string;
  readonly actor: { readonly role: string | null; readonly type: string };
};

const play = async (
  { client, recordings, contract }: DemoScene,
  token: string,
  tell: Tell,
): Promise<void> => {
  const unit = contract.careUnits[0]?.name;
  const first = recordings.find(({ call }) => call.metadata.careUnit === unit);
  if (first === undefined) throw new AppError('internal', 'no sample call for the first care unit');
  const { recordings: found } = await client.expect<{ recordings: unknown[] }>(
    200,
    'POST',
    '/v1/recordings/search',
    { token, body: {} },
  );
  tell(`The nurse of ${unit} finds ${found.length} calls, all of her own care unit.`);
  const opened = await client.expect<{ playbackId: string; audioUrl: string; durationMs: number }>(
    201,
    'POST',
    `/v1/recordings/${first.id}/playbacks`,
    { token, body: { purpose: 'care' } },
  );
  const part = await client.range(opened.audioUrl, token, 'bytes=0-65535');
  tell(`She says why (care) and hears the first ${part.bytes} bytes: ${part.status} ${part.contentRange}.`);
  await client.expect(204, 'POST', `/v1/playbacks/${opened.playbackId}/heard`, {
    token,
    body: { spans: [[0, 4000]] },
  });
};

const showRefusals = async ({ client, recordings, contract }: DemoScene, tell: Tell): Promise<void> => {
  const path = `/v1/recordings/${recordings[0]?.id}/playbacks`;
  for (const [who, status] of [
    ['nurse2', 404],
    ['compliance', 403],
    ['admin', 403],
  ] as const) {
    const { email, password } = contract.accounts[who];
    const token = await client.signIn(email, password);
    await client.expect(status, 'POST', path, { token, body: { purpose: 'care' } });
    tell(`The same for ${who === 'nurse2' ? 'the nurse of the other care unit' : who}: ${status}.`);
  }
};

const showLog = async ({ client, contract }: DemoScene, tell: Tell): Promise<void> => {
  const { email, password } = contract.accounts.compliance;
  const token = await client.signIn(email, password);
  const { entries } = await client.expect<{ entries: Entry[] }>(200, 'POST', '/v1/audit/search', {
    token,
    body: { limit: 14 },
  });
  tell('\nThe access log, newest first, as compliance sees it:');
  for (const { seq, at, action, outcome, actor } of entries)
    tell(
      `  ${String(seq).padStart(4)}  ${at.slice(11, 19)}  ${action.padEnd(22)} ${outcome.padEnd(8)} ${actor.role ?? actor.type}`,
    );
};

const printAccounts = ({ contract }: DemoScene, url: string, tell: Tell): void => {
  tell(`\nAddress  ${url}`);
  for (const [role, { email, password }] of Object.entries(contract.accounts))
    tell(`  ${role.padEnd(11)} ${email.padEnd(28)} ${password}`);
  tell(`  ${'source'.padEnd(11)} API key ${contract.source.apiKey}`);
  tell(`  ${''.padEnd(11)} client  ${contract.source.clientId} / ${contract.source.clientSecret}`);
};

/** Plays, is refused, reads the log, verifies it. False when the log does not verify. */
export const walkThrough = async (vault: DemoVault, scene: DemoScene, tell: Tell): Promise<boolean> => {
  const { email, password } = scene.contract.accounts.nurse;
  await play(scene, await scene.client.signIn(email, password), tell);
  await showRefusals(scene, tell);
  await showLog(scene, tell);
  const { code, stdout, stderr } = await vault.command('verify');
  tell(`\ncallvault verify: ${(stdout || stderr).trim()}`);
  printAccounts(scene, vault.url, tell);
  return code === 0;
};
