import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { wavFile } from './audio-files.ts';
import { freePort } from './free-port.ts';
import { createHttpClient, jsonOf, type Reply, uploadForm } from './http-client.ts';
import { adminCreateOf, choosePassword, createStage, type Person, personOf, ROOMY } from './scene.ts';
import { newVaultFolder, type RunningVault, type VaultFolder } from './vault.ts';

export { freePort } from './free-port.ts';

/** A call as a telephone system has it. */
export type Call = { readonly callId: string; readonly audio: Buffer };

/** Telephone PCM that does not compress and is like no other call's. */
export const newCall = (bytes: number, callId: string = randomUUID()): Call => ({
  callId,
  audio: wavFile({ data: randomBytes(Math.max(2, (bytes - 44) & ~1)) }),
});

/** One organisation with one care unit, a nurse of it, and a source that delivers to it. */
export type CareLine = {
  readonly http: ReturnType<typeof createHttpClient>;
  readonly admin: Person;
  readonly nurse: Person;
  readonly compliance: Person;
  readonly apiKey: string;
  /** The answer to an upload, whatever it is. */
  deliver(call: Call, metadata?: object): Promise<Reply>;
  /** Delivers a call that must be taken; its recording's id. */
  store(call: Call, metadata?: object): Promise<string>;
  /** A permission to hear a recording; the address of its sound. */
  openPlayback(recording: string): Promise<string>;
  /** The whole recording; throws for anything but 200. */
  hear(recording: string): Promise<Buffer>;
};

export const openCareLine = async (folder: VaultFolder, url: string): Promise<CareLine> => {
  const http = createHttpClient(url);
  const email = `admin.${randomUUID()}@example.org`;
  const made = await adminCreateOf(folder)(email, `Region ${randomUUID()}`);
  const password = await choosePassword(http, email, made.password);
  const admin = personOf(http, { id: made.userId, email, password, role: 'admin' });
  const stage = createStage(http);
  const unit = await stage.unit(admin);
  const nurse = await stage.user(admin, 'nurse', [unit.id]);
  const compliance = await stage.user(admin, 'compliance');
  const { apiKey } = await stage.source(admin, unit.id);
  const deliver = ({ callId, audio }: Call, metadata = {}): Promise<Reply> =>
    http.post('/v1/recordings', { token: apiKey, form: uploadForm({ callId, ...metadata }, audio) });
  const openPlayback = async (recording: string): Promise<string> => {
    const asked = { token: await nurse.token(), json: { purpose: 'technical' } };
    const reply = await http.post(`/v1/recordings/${recording}/playbacks`, asked);
    return jsonOf<{ audioUrl: string }>(reply, 201).audioUrl;
  };
  return {
    http,
    admin,
    nurse,
    compliance,
    apiKey,
    deliver,
    openPlayback,
    store: async (call, metadata) => jsonOf<{ id: string }>(await deliver(call, metadata), 201).id,
    async hear(recording) {
      const token = await nurse.token();
      const reply = await http.get(await openPlayback(recording), { token });
      if (reply.status !== 200) throw new Error(`playback: ${reply.status} ${reply.text.slice(0, 600)}`);
      return reply.body;
    },
  };
};

export type CareLineVault = {
  readonly folder: VaultFolder;
  readonly vault: RunningVault;
  readonly line: CareLine;
};

/** A new vault with a care line, always at the same address however often it is started again. */
export const startCareLine = async (env: Readonly<Record<string, string>> = {}): Promise<CareLineVault> => {
  const folder = await newVaultFolder({ ...ROOMY, PORT: await freePort(), ...env });
  try {
    const vault = await folder.start();
    return { folder, vault, line: await openCareLine(folder, vault.url) };
  } catch (error) {
    await folder.remove();
    throw error;
  }
};

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
