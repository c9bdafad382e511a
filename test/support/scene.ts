import { createHash, randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedFolder, copyFolder } from './cached-folder.ts';
import { freePort } from './free-port.ts';
import { generatedCall } from './generated-call.ts';
import { createHttpClient, type HttpClient, jsonOf, type Reply, uploadForm } from './http-client.ts';
import { newVaultFolder, type RunningVault, type VaultFolder } from './vault.ts';

export type Role = 'nurse' | 'compliance' | 'admin' | 'installation_admin' | 'installation_auditor';

export type Person = {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly role: Role;
  /** An access token; signed in once, when first asked for. */
  token(): Promise<string>;
  /** Signs in anew; every sign-in is a session of its own. */
  signIn(): Promise<{ readonly token: string; readonly cookie: string }>;
};

export type Named = { readonly id: string; readonly name: string };

export type Source = {
  readonly id: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly apiKey: string;
};

export type Stored = {
  readonly id: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly audio: Buffer;
};

export type Organisation = {
  readonly id: string;
  readonly name: string;
  readonly admin: Person;
  readonly compliance: Person;
  /** A care unit, its nurse, and a recording of it, which `source` delivered. */
  readonly units: readonly (Named & { readonly nurse: Person; readonly recording: Stored })[];
  readonly source: Source;
};

/** How the operator makes a first administrator: of an organisation, or (null) of the installation. */
export type AdminCreate = (email: string, organisation: string | null) => Promise<FirstAdmin>;
export type FirstAdmin = {
  readonly userId: string;
  readonly password: string;
  readonly organisation: string | null;
};

const COOKIE = /^__Host-cv=([^;]+)/;

/** One of the `Set-Cookie` values, as a browser would send it back. */
export const cookieOf = (reply: Reply): string => {
  const value = (reply.headers['set-cookie'] ?? [])
    .map((line) => COOKIE.exec(line)?.[1])
    .find((one) => one !== undefined);
  return `__Host-cv=${value ?? ''}`;
};

export const personOf = (http: HttpClient, known: Omit<Person, 'token' | 'signIn'>): Person => {
  const { email, password } = known;
  let first: Promise<string> | null = null;
  const signIn = async () => {
    const reply = await http.post('/v1/auth/login', { json: { email, password } });
    return { token: jsonOf<{ accessToken: string }>(reply, 200).accessToken, cookie: cookieOf(reply) };
  };
  return {
    ...known,
    signIn,
    token() {
      first ??= signIn().then(({ token }) => token);
      return first;
    },
  };
};

/**
 * Signs in with a password that somebody else made, as everybody does the first time, and chooses another. Resolves to
 * that; the session ends.
 */
export const choosePassword = async (http: HttpClient, email: string, initial: string): Promise<string> => {
  const { token } = await personOf(http, { id: '', email, password: initial, role: 'nurse' }).signIn();
  const chosen = randomUUID();
  const json = { currentPassword: initial, newPassword: chosen };
  const answers = [
    await http.post('/v1/auth/password', { token, json }),
    await http.post('/v1/auth/logout', { token, json: {} }),
  ];
  for (const { status, text } of answers) if (status !== 204) throw new Error(`answered ${status}: ${text}`);
  return chosen;
};

/** What is asked of a vault again and again while a scene is set. */
export const createStage = (http: HttpClient) => ({
  async user(admin: Person, role: Role, units: readonly string[] = []): Promise<Person> {
    const email = `${role}.${randomUUID()}@example.org`;
    const asked = { email, displayName: `A ${role}`, role, ...(units.length === 0 ? {} : { units }) };
    const reply = await http.post('/v1/admin/users', { token: await admin.token(), json: asked });
    const { user, initialPassword } = jsonOf<{ user: { id: string }; initialPassword: string }>(reply, 201);
    const password = await choosePassword(http, email, initialPassword);
    return personOf(http, { id: user.id, email, password, role });
  },

  async unit(admin: Person, name = `Unit ${randomUUID()}`): Promise<Named> {
    return jsonOf(await http.post('/v1/admin/units', { token: await admin.token(), json: { name } }), 201);
  },

  async source(admin: Person, defaultUnit: string | null = null): Promise<Source> {
    const asked = {
      name: `PBX ${randomUUID()}`,
      ...(defaultUnit === null ? {} : { defaultUnit }),
      announcement: 'v1',
      retentionClass: 'quality',
      legalBasis: 'public_task',
    };
    const reply = await http.post('/v1/admin/sources', { token: await admin.token(), json: asked });
    const { source, ...secrets } = jsonOf<{
      source: { id: string; clientId: string };
      clientSecret: string;
      apiKey: string;
    }>(reply, 201);
    return { id: source.id, clientId: source.clientId, ...secrets };
  },

  /** Delivers a call as a telephony system does. */
  async recording(
    source: Pick<Source, 'apiKey'>,
    metadata: Readonly<Record<string, unknown>>,
    audio = generatedCall(1),
  ): Promise<Stored> {
    const whole = { callId: randomUUID(), ...metadata };
    const reply = await http.post('/v1/recordings', { token: source.apiKey, form: uploadForm(whole, audio) });
    return { ...jsonOf<{ id: string }>(reply, 201), metadata: whole, audio };
  },
});

export type Stage = ReturnType<typeof createStage>;

const organisationOf = async (
  http: HttpClient,
  adminCreate: AdminCreate,
  name: string,
  unitNames: readonly string[],
): Promise<Organisation> => {
  const stage = createStage(http);
  const email = `admin.${randomUUID()}@example.org`;
  const first = await adminCreate(email, name);
  const password = await choosePassword(http, email, first.password);
  const admin = personOf(http, { id: first.userId, email, password, role: 'admin' });
  const units = await Promise.all(unitNames.map((unit) => stage.unit(admin, unit)));
  const source = await stage.source(admin, units[0]?.id ?? null);
  const compliance = await stage.user(admin, 'compliance');
  const staffed = units.map(async (unit, index) => ({
    ...unit,
    nurse: await stage.user(admin, 'nurse', [unit.id]),
    recording: await stage.recording(
      source,
      { careUnit: unit.name, callerNumber: `070-174 06 1${index}`, direction: 'inbound' },
      generatedCall(2, index + 1),
    ),
  }));
  return {
    id: first.organisation ?? '',
    name,
    admin,
    compliance,
    units: await Promise.all(staffed),
    source,
  };
};

type Cast = {
  readonly home: Organisation;
  readonly foreign: Organisation;
  readonly installationAdmin: Person;
  readonly installationAuditor: Person;
};

const sceneOf = (http: HttpClient, cast: Cast) => {
  const [own, other] = cast.home.units as [Organisation['units'][number], Organisation['units'][number]];
  const [abroad] = cast.foreign.units as [Organisation['units'][number]];
  return { http, stage: createStage(http), ...cast, own, other, abroad };
};

export type Scene = ReturnType<typeof sceneOf>;

/**
 * A whole scene, made through the API: `home` with two care units, `foreign` with one, the people and sources of both, and
 * the two people of the installation.
 */
export const buildScene = async (http: HttpClient, adminCreate: AdminCreate): Promise<Scene> => {
  const stage = createStage(http);
  const home = await organisationOf(http, adminCreate, 'Region Home', ['Advice line', "Children's clinic"]);
  const foreign = await organisationOf(http, adminCreate, 'Region Foreign', ['Advice line']);
  const email = `installation.${randomUUID()}@example.org`;
  const { userId, password: initial } = await adminCreate(email, null);
  const password = await choosePassword(http, email, initial);
  const installationAdmin = personOf(http, { id: userId, email, password, role: 'installation_admin' });
  const installationAuditor = await stage.user(installationAdmin, 'installation_auditor');
  return sceneOf(http, { home, foreign, installationAdmin, installationAuditor });
};

/** `callvault admin-create`, on the command line. */
export const adminCreateOf =
  (folder: VaultFolder): AdminCreate =>
  async (email, organisation) => {
    const about = organisation === null ? [] : ['--organisation', organisation];
    const { code, stdout, stderr } = await folder.cli('admin-create', '--email', email, ...about, '--json');
    if (code !== 0) throw new Error(`admin-create ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as FirstAdmin;
  };

/** Settings under which a test meets no limit but the one it is about. */
export const ROOMY = { ACCESS_TOKEN_SECONDS: '3600', REQUESTS_PER_MINUTE: '1000000' } as const;

/** What JSON has no form for: recorded sound, and the functions of people, which `told` again gives them. */
const written = ({ home, foreign, installationAdmin, installationAuditor }: Scene): string =>
  JSON.stringify({ home, foreign, installationAdmin, installationAuditor }, (_key, value: unknown) =>
    isBuffer(value) ? { base64: Buffer.from(value.data).toString('base64') } : value,
  );
const isBuffer = (value: unknown): value is { data: number[] } =>
  typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';

const toldAgain = (text: string, http: HttpClient): Scene => {
  const cast = JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if ('base64' in value) return Buffer.from(String(value.base64), 'base64');
    return 'password' in value ? personOf(http, value as Omit<Person, 'token' | 'signIn'>) : value;
  }) as Cast;
  return sceneOf(http, cast);
};

const ROOT = join(import.meta.dirname, '../..');

/** Of every source that has a part in the scene. */
const sourcesDigest = async (): Promise<string> => {
  const hash = createHash('sha256');
  for (const folder of ['src', 'prisma/migrations', 'test/support'])
    for (const file of (await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true })).toSorted(
      byPath,
    ))
      if (file.isFile()) hash.update(file.name).update(await readFile(join(file.parentPath, file.name)));
  return hash.digest('hex').slice(0, 16);
};
const byPath = (a: Dirent, b: Dirent): number =>
  join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1;

/** `home` with a vault's data and keys, and `scene.json`: set by the first test that needs one, the same for all others. */
const setScene = async (draft: string): Promise<void> => {
  const folder = await newVaultFolder(ROOMY);
  try {
    const vault = await folder.start();
    const http = createHttpClient(vault.url);
    const scene = await buildScene(http, adminCreateOf(folder));
    http.close();
    await vault.stop();
    await writeFile(join(draft, 'scene.json'), written(scene), { mode: 0o600 });
    await rename(folder.home, join(draft, 'home'));
  } finally {
    await folder.remove();
  }
};

/**
 * A vault of its own with the scene set, always at the same address; nothing of it is left after `close`. `observe` sees
 * every answer, so the scene is then set before its eyes.
 */
export const startScene = async (
  env: Readonly<Record<string, string>> = {},
  observe?: (reply: Reply) => void,
): Promise<Scene & { folder: VaultFolder; vault: RunningVault; close(): Promise<void> }> => {
  const folder = await newVaultFolder({ ...ROOMY, PORT: await freePort(), ...env });
  try {
    const set = observe === undefined ? await cachedFolder(`scene-${await sourcesDigest()}`, setScene) : null;
    if (set !== null) await copyFolder(join(set, 'home'), folder.home);
    const vault = await folder.start();
    const http = createHttpClient(vault.url, observe);
    const scene =
      set === null
        ? await buildScene(http, adminCreateOf(folder))
        : toldAgain(await readFile(join(set, 'scene.json'), 'utf8'), http);
    const close = async (): Promise<void> => {
      http.close();
      await folder.remove();
    };
    return { ...scene, folder, vault, close };
  } catch (error) {
    await folder.remove();
    throw error;
  }
};
