import { createHash, randomBytes } from 'node:crypto';
import { wavFile } from './audio-files.ts';
import type { VaultFolder } from './vault.ts';

/** The vault's interface as a stranger uses it, over fetch. Nothing of src is imported here. */
export type Reply<T> = {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  /** The answer as JSON; null when it is none. */
  readonly body: T;
};

export type Asked = {
  readonly token?: string;
  readonly json?: unknown;
  readonly form?: FormData;
  readonly headers?: Readonly<Record<string, string>>;
};

const parsed = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
};

/** One request and its whole answer. Rejects when the connection ends before the answer does. */
export const ask = async <T = unknown>(
  url: string,
  method: string,
  path: string,
  { token, json, form, headers = {} }: Asked = {},
): Promise<Reply<T>> => {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...headers,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    ...(form === undefined ? {} : { body: form }),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  return { status: answer.status, headers: answer.headers, bytes, body: parsed(bytes) as T };
};

/** As {@link ask}, but any other status than the expected one throws, with what the vault said. */
export const expectStatus = async <T>(status: number, ...asked: Parameters<typeof ask>): Promise<T> => {
  const answer = await ask<T>(...asked);
  if (answer.status !== status)
    throw new Error(`${asked[1]} ${asked[2]} answered ${answer.status}: ${answer.bytes.toString('utf8')}`);
  return answer.body;
};

export type Account = { readonly email: string; readonly password: string };

export const signIn = async (url: string, { email, password }: Account): Promise<string> => {
  const json = { email, password };
  return (await expectStatus<{ accessToken: string }>(200, url, 'POST', '/v1/auth/login', { json }))
    .accessToken;
};

/** An organisation with one care unit, one account per role, and one source. */
export type Staff = {
  readonly organisation: string;
  readonly unit: string;
  readonly admin: Account;
  readonly nurse: Account;
  readonly compliance: Account;
  readonly apiKey: string;
};

/** Makes the staff of a vault that runs at `url`, the first administrator by the command line. */
export const makeStaff = async (folder: VaultFolder, url: string, name = 'Region Test'): Promise<Staff> => {
  const at = `${randomBytes(3).toString('hex')}.example`;
  const made = await folder.cli('admin-create', '--organisation', name, '--email', `admin@${at}`, '--json');
  if (made.code !== 0) throw new Error(`admin-create ended with ${made.code}: ${made.stderr}`);
  const admin = JSON.parse(made.stdout) as Account & { organisation: string };
  const token = await signIn(url, admin);
  const post = <T>(path: string, json: object): Promise<T> =>
    expectStatus<T>(201, url, 'POST', `/v1/admin/${path}`, { token, json });
  const unit = await post<{ id: string }>('units', { name: 'Unit' });
  const hire = async (role: string, more: object = {}): Promise<Account> => {
    const email = `${role}@${at}`;
    const user = await post<{ initialPassword: string }>('users', {
      email,
      displayName: role,
      role,
      ...more,
    });
    return { email, password: user.initialPassword };
  };
  const nurse = await hire('nurse', { units: [unit.id] });
  const compliance = await hire('compliance');
  const settings = { defaultUnit: unit.id, retentionClass: 'quality', legalBasis: 'public_task' };
  const { apiKey } = await post<{ apiKey: string }>('sources', { name: 'PBX', ...settings });
  return { organisation: admin.organisation, unit: unit.id, admin, nurse, compliance, apiKey };
};

/** A call as a telephone system has it. */
export type Call = { readonly callId: string; readonly audio: Buffer };

/** Telephone PCM that does not compress and is no other call's. */
export const newCall = (callId: string, bytes: number): Call => ({
  callId,
  audio: wavFile({ data: randomBytes(Math.max(2, (bytes - 44) & ~1)) }),
});

export type Stored = { readonly id: string; readonly sha256: string; readonly bytes: number };

/** Delivers a call as a form; the answer, whatever it is. */
export const deliver = (
  url: string,
  apiKey: string,
  { callId, audio }: Call,
  metadata: object = {},
): Promise<Reply<Stored>> => {
  const form = new FormData();
  form.set('metadata', JSON.stringify({ callId, ...metadata }));
  form.set('audio', new Blob([new Uint8Array(audio)], { type: 'audio/wav' }), 'audio');
  return ask<Stored>(url, 'POST', '/v1/recordings', { token: apiKey, form });
};

/** Delivers a call that must be taken; its recording's id. */
export const stored = async (url: string, apiKey: string, call: Call, metadata?: object): Promise<string> => {
  const answer = await deliver(url, apiKey, call, metadata);
  if (answer.status !== 201) throw new Error(`upload: ${answer.status} ${answer.bytes.toString('utf8')}`);
  return answer.body.id;
};

/** A permission to hear a recording; the address of its sound. */
export const openPlayback = async (url: string, token: string, recording: string): Promise<string> => {
  const json = { purpose: 'technical' };
  const path = `/v1/recordings/${recording}/playbacks`;
  return (await expectStatus<{ audioUrl: string }>(201, url, 'POST', path, { token, json })).audioUrl;
};

/** The whole recording, as one answer; throws for anything but 200. */
export const hear = async (url: string, token: string, recording: string): Promise<Buffer> => {
  const answer = await ask(url, 'GET', await openPlayback(url, token, recording), { token });
  if (answer.status !== 200) throw new Error(`playback: ${answer.status} ${answer.bytes.toString('utf8')}`);
  return answer.bytes;
};

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
