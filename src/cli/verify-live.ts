import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { readEnvironment } from '../config.ts';
import { MAX_LINE_BYTES, parseHeader } from '../core/audit/export-format.ts';
import type { ExportExpectations, ExportVerdict } from '../core/audit/export-verify.ts';
import { openSigned, type SignedCheckpoint, type Trust, type Unsigned } from '../core/audit/trust.ts';
import type { Anchor } from '../core/audit/verify.ts';
import { AppError } from '../core/errors.ts';
import { verifyBytes } from './verify-files.ts';

const MAX_TOKEN = 4096;
const ANSWER_MS = 60_000;
const MAX_ANSWER = 256 * 1024;

const unusable = (message: string): AppError => new AppError('config_invalid', message);

/** Throws `config_invalid` for what is no address, and for one over which a token would travel readable. */
export const addressOf = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw unusable('--live is the address of a vault, such as https://vault.example.org.');
  const { hostname } = url;
  const loopback =
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'));
  if (url.protocol === 'http:' && !loopback)
    throw unusable('Over http the token would travel readable: use https.');
  if (url.username !== '' || url.password !== '')
    throw unusable('An address is no place for a name or a password.');
  return url;
};

const readAll = async (stream: AsyncIterable<Uint8Array>, most: number): Promise<string> => {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of stream) {
    pieces.push(piece);
    length += piece.length;
    if (length > most) throw unusable('There is more than was to be read.');
  }
  return Buffer.concat(pieces).toString('utf8');
};

/** From CALLVAULT_TOKEN or the standard input, never from the command line, where everybody on the machine could read it. */
export const readToken = async (stdin: NodeJS.ReadStream): Promise<string> => {
  const given = readEnvironment(process.cwd()).CALLVAULT_TOKEN ?? '';
  const token = given !== '' || stdin.isTTY ? given : await readAll(stdin, MAX_TOKEN);
  if (!/^[A-Za-z0-9._~+/=-]{1,4096}$/.test(token.trim()))
    throw unusable(
      'An access token of a compliance officer is needed: in CALLVAULT_TOKEN, or on the standard input.',
    );
  return token.trim();
};

type Problem = { readonly code?: unknown; readonly detail?: unknown };

const problemOf = async (response: Response): Promise<AppError> => {
  const text = response.body === null ? '' : await readAll(response.body as never, MAX_ANSWER);
  let problem: Problem = {};
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    // Something in between answered.
  }
  const words = typeof problem.detail === 'string' ? problem.detail.slice(0, 500) : '';
  const code = problem.code === 'integrity_failure' ? 'integrity_failure' : 'log_unavailable';
  const named =
    typeof problem.code === 'string' && /^[a-z_]{1,40}$/.test(problem.code) ? ` (${problem.code})` : '';
  return new AppError(code, `The vault answered ${response.status}${named}. ${words}`.trim());
};

/** Asks a running vault as an officer does. Rejects with `log_unavailable` when it does not answer as one. */
const createClient = (url: URL, token: string) => {
  const ask = async (path: string, accept: string): Promise<Response> => {
    const headers = { authorization: `Bearer ${token}`, accept };
    const signal = path.startsWith('/v1/audit/export') ? null : AbortSignal.timeout(ANSWER_MS);
    try {
      return await fetch(new URL(path, url), { headers, redirect: 'error', signal });
    } catch (cause) {
      throw new AppError('log_unavailable', `There is no answer from ${url.origin}.`, { cause });
    }
  };
  return {
    /** The newest signed note; null when there is none yet. */
    checkpoint: async (): Promise<string | null> => {
      const response = await ask('/v1/audit/checkpoint', 'text/plain, application/json');
      if (response.status === 404) return null;
      if (response.status !== 200 || response.body === null) throw await problemOf(response);
      return readAll(response.body as never, MAX_ANSWER);
    },
    export: async (): Promise<AsyncIterable<Buffer>> => {
      const response = await ask('/v1/audit/export', 'application/x-ndjson');
      if (response.status !== 200 || response.body === null) throw await problemOf(response);
      return response.body as never;
    },
  };
};

export type LiveAsked = {
  readonly url: string;
  readonly token: string;
  readonly trust: Trust;
  readonly anchors: readonly Anchor[];
  /** Told once, when witnesses are waited for. */
  readonly onWaiting?: () => void;
};

/** Witnesses are shown a checkpoint when it is signed, and answer in a moment: so long they are waited for, in milliseconds. */
const SEEN_WAIT_MS = 6_000;
const SEEN_LOOK_MS = 400;

type Opened = SignedCheckpoint | Unsigned | null;

/** Waits a moment and resolves to true where what was given may look otherwise then; false at the end of its patience. */
const createSeenWait = ({ trust: { quorum, witnesses }, onWaiting }: LiveAsked) => {
  const until = performance.now() + SEEN_WAIT_MS;
  let isSaid = false;
  return async (opened: Opened): Promise<boolean> => {
    const isUnseen = opened === null || ('fault' in opened && opened.isUnseen);
    if (!isUnseen || quorum === 0 || quorum > witnesses.length || performance.now() >= until) return false;
    if (!isSaid) onWaiting?.();
    isSaid = true;
    await sleep(SEEN_LOOK_MS);
    return true;
  };
};

const openedIn = (note: string | null, trust: Trust): Opened =>
  note === null ? null : openSigned(note, trust);

/** The first line of an export, if it is no longer than a line may be, and all of its bytes. */
const peeked = async (pieces: AsyncGenerator<Buffer>) => {
  const first: Buffer[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await pieces.next();
    if (done === true) break;
    first.push(value);
    length += value.length;
    if (value.includes(0x0a) || length > MAX_LINE_BYTES) break;
  }
  const bytes = Buffer.concat(first);
  const end = bytes.indexOf(0x0a);
  async function* whole(): AsyncGenerator<Buffer> {
    yield bytes;
    yield* pieces;
  }
  return { header: end === -1 ? null : parseHeader(bytes.toString('utf8', 0, end)), pieces: whole() };
};

const brokenOff = (cause: unknown): never => {
  throw new AppError('log_unavailable', 'The vault broke off its answer.', { cause });
};

/** A checkpoint, and an export behind it, as soon as both are seen by as many witnesses as are asked for; or as they are by then. */
const askBoth = async (client: ReturnType<typeof createClient>, asked: LiveAsked) => {
  const mayWait = createSeenWait(asked);
  for (;;) {
    const opened = openedIn(await client.checkpoint(), asked.trust);
    if (await mayWait(opened)) continue;
    if (opened !== null && 'fault' in opened)
      throw new AppError('integrity_failure', `The newest checkpoint of the vault ${opened.fault}.`);
    const pieces = toBuffers(await client.export());
    const given = await peeked(pieces).catch(brokenOff);
    // Signed between the two answers.
    const inHeader = given.header === null ? opened : openedIn(given.header.checkpoint, asked.trust);
    if (!(await mayWait(inHeader))) return { opened, pieces: given.pieces };
    await pieces.return(undefined);
  }
};

/**
 * The log of a running vault, as far as the officer of this token may see it: the newest checkpoint first, then everything
 * from the first entry on, which must contain that checkpoint and every head that is known. Rejects with `integrity_failure`
 * when the vault itself says that its log cannot be proven, or, some seconds later, when witnesses have not seen it.
 */
export const verifyVault = async (asked: LiveAsked): Promise<ExportVerdict> => {
  const { url, token, trust, anchors } = asked;
  const { opened, pieces } = await askBoth(createClient(addressOf(url), token), asked);
  const own = opened && {
    size: opened.checkpoint.size,
    root: opened.checkpoint.root.toString('hex'),
    from: 'that the vault gave',
  };
  const known = own === null ? anchors : [...anchors, own];
  const expected: ExportExpectations = {
    trust,
    anchors: known,
    atLeast: Math.max(0, ...known.map(({ size }) => size)),
  };
  return verifyBytes(pieces, expected).catch(brokenOff);
};

async function* toBuffers(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
}
