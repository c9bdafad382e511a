import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { AppError } from '../core/errors.ts';

/** No secret is longer; more than this on the standard input is not one. */
const MAX_BYTES = 16 * 1024;

/** Echoes nothing. */
const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

const askAtTerminal = (input: NodeJS.ReadStream, prompt: string): Promise<string> =>
  new Promise((resolve, reject) => {
    process.stderr.write(prompt);
    const lines = createInterface({ input, output: nowhere(), terminal: true });
    let given: string | null = null;
    lines.question('', (text) => {
      given = text;
      lines.close();
    });
    lines.on('close', () => {
      process.stderr.write('\n');
      if (given === null) reject(new AppError('client_closed', 'No password was given.'));
      else resolve(given);
    });
  });

const readLines = async (input: NodeJS.ReadableStream): Promise<readonly string[]> => {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of input) {
    pieces.push(Buffer.from(piece as Buffer));
    length += pieces.at(-1)!.length;
    if (length > MAX_BYTES) break;
  }
  return Buffer.concat(pieces).toString('utf8').slice(0, MAX_BYTES).split(/\r?\n/);
};

/**
 * One secret for each prompt: asked for at a terminal, unseen, or else the lines of the input in that order. Never an
 * argument, which others on the machine can read. Throws `invalid_request` when there are fewer.
 */
export const readSecrets = async (
  input: NodeJS.ReadStream,
  prompts: readonly string[],
): Promise<readonly string[]> => {
  const secrets: string[] = [];
  if (input.isTTY) for (const prompt of prompts) secrets.push(await askAtTerminal(input, prompt));
  else secrets.push(...(await readLines(input)).slice(0, prompts.length));
  if (secrets.length < prompts.length || secrets.some((secret) => secret === ''))
    throw new AppError(
      'invalid_request',
      'Give the passwords on the standard input, one a line, in the order of --approver.',
    );
  return secrets;
};
