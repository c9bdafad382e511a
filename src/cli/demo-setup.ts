import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../core/errors.ts';
import { createDemoClient, type DemoClient } from './demo-client.ts';
import type { DemoVault } from './demo-vault.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');

type Account = { readonly email: string; readonly password: string };
type Named = { readonly id: string; readonly name: string };
type SampleCall = {
  readonly file: string;
  readonly mediaType: string;
  readonly startedMinutesAgo: number;
  readonly metadata: { readonly careUnit: string; readonly callId: string };
};
type Samples = { readonly careUnits: readonly [string, string]; readonly calls: readonly SampleCall[] };

/** What `--json` prints besides the address; stable, for tests and tools. */
export type DemoContract = {
  readonly accounts: Record<'admin' | 'nurse' | 'nurse2' | 'compliance', Account>;
  readonly source: { readonly apiKey: string; readonly clientId: string; readonly clientSecret: string };
  readonly organisation: Named;
  readonly careUnits: readonly Named[];
};

export type DemoScene = {
  readonly client: DemoClient;
  readonly contract: DemoContract;
  readonly recordings: readonly { readonly id: string; readonly call: SampleCall }[];
};

type Admin = Account & { readonly organisation: Named; readonly suffix: string };

/** A second run on the same folder makes an organisation of its own: passwords of the first are known to nobody. */
const makeAdmin = async (vault: DemoVault, suffix = ''): Promise<Admin> => {
  const name = `Region Demo${suffix === '' ? '' : ` ${suffix}`}`;
  const email = `admin${suffix === '' ? '' : `-${suffix}`}@demo.example`;
  const made = await vault.command('admin-create', '--organisation', name, '--email', email, '--json');
  if (made.code === 0) {
    const { password, organisation } = JSON.parse(made.stdout) as { password: string; organisation: string };
    return { email, password, organisation: { id: organisation, name }, suffix };
  }
  if (suffix !== '') throw new AppError('internal', `admin-create failed: ${made.stderr.trim()}`);
  return makeAdmin(vault, randomBytes(3).toString('hex'));
};

const makePeople = async (
  client: DemoClient,
  token: string,
  units: readonly [Named, Named],
  suffix: string,
) => {
  const make = async (name: string, role: string, displayName: string, unit?: Named): Promise<Account> => {
    const email = `${name}${suffix === '' ? '' : `-${suffix}`}@demo.example`;
    const { initialPassword } = await client.expect<{ initialPassword: string }>(
      201,
      'POST',
      '/v1/admin/users',
      {
        token,
        body: { email, displayName, role, ...(unit === undefined ? {} : { units: [unit.id] }) },
      },
    );
    return { email, password: await client.choosePassword(email, initialPassword) };
  };
  return {
    nurse: await make('nurse', 'nurse', 'Nora Demo', units[0]),
    nurse2: await make('nurse2', 'nurse', 'Nils Demo', units[1]),
    compliance: await make('compliance', 'compliance', 'Cora Demo'),
  };
};

const deliver = async (client: DemoClient, apiKey: string, calls: readonly SampleCall[]) => {
  const stored: { id: string; call: SampleCall }[] = [];
  for (const call of calls) {
    const form = new FormData();
    const startedAt = new Date(Date.now() - call.startedMinutesAgo * 60_000).toISOString();
    form.set('metadata', JSON.stringify({ ...call.metadata, startedAt }));
    form.set(
      'audio',
      new Blob([await readFile(join(FIXTURES, call.file))], { type: call.mediaType }),
      'audio',
    );
    const { id } = await client.expect<{ id: string }>(201, 'POST', '/v1/recordings', {
      token: apiKey,
      body: form,
    });
    stored.push({ id, call });
  }
  return stored;
};

/** One organisation, two care units, one account per role, a source, and the sample calls, all through the API. */
export const setUpDemo = async (vault: DemoVault, tell: (line: string) => void): Promise<DemoScene> => {
  const { careUnits: unitNames, calls } = JSON.parse(
    await readFile(join(FIXTURES, 'calls.json'), 'utf8'),
  ) as Samples;
  const client = createDemoClient(vault.url);
  const { suffix, organisation, email, password: initial } = await makeAdmin(vault);
  const admin = { email, password: await client.choosePassword(email, initial) };
  const token = await client.signIn(admin.email, admin.password);
  const unit = (name: string) =>
    client.expect<Named>(201, 'POST', '/v1/admin/units', { token, body: { name } });
  const units = [await unit(unitNames[0]), await unit(unitNames[1])] as const;
  const people = await makePeople(client, token, units, suffix);
  const { source, apiKey, clientSecret } = await client.expect<{
    source: { clientId: string };
    apiKey: string;
    clientSecret: string;
  }>(201, 'POST', '/v1/admin/sources', {
    token,
    body: {
      name: 'Demo PBX',
      defaultUnit: units[0].id,
      announcement: 'sv-2026.1',
      retentionClass: 'quality',
      legalBasis: 'public_task',
    },
  });
  tell(`\nMade ${organisation.name} with ${unitNames.join(' and ')}, four accounts and a telephone system.`);
  const recordings = await deliver(client, apiKey, calls);
  tell(
    `Delivered ${recordings.length} sample calls as the telephone system would: sealed, stored, logged, then 201.`,
  );
  return {
    client,
    recordings,
    contract: {
      accounts: { admin, ...people },
      source: { apiKey, clientId: source.clientId, clientSecret },
      organisation,
      careUnits: units.map(({ id, name }) => ({ id, name })),
    },
  };
};
