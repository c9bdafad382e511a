import { type DestinationStream, type Logger, pino } from 'pino';
import { isAppError } from './core/errors.ts';

type LoggedRequest = {
  readonly id: string;
  readonly method: string;
  readonly routeOptions?: { readonly url?: string | undefined };
};

/** What a line may hold besides its sentence. Libraries log too, headers and options and all: whatever else comes is left out. */
const FIELDS = new Set([
  ...['err', 'error', 'req', 'res', 'ms', 'what', 'postgres', 'ready', 'findings'],
  ...['recording', 'call', 'fault', 'faults', 'size', 'root', 'verified', 'removed', 'count'],
]);

/** Places in programs only: a foreign message is cut off first, for it could bring lines that look like one. */
const FRAME = /^ +at (?:[^()\n]{1,200} \()?(?:file:\/\/|node:|\/)[^\s()]{1,300}:\d+:\d+\)?$/;

const framesOf = ({ stack = '', message }: Error): string[] =>
  stack
    .slice(message === '' ? 0 : stack.lastIndexOf(message) + message.length)
    .split('\n')
    .filter((line) => FRAME.test(line))
    .slice(0, 12)
    .map((line) => line.trim());

/**
 * An error as the operator may see it: code and place. Messages of foreign errors are left out, because database and parser
 * errors repeat the values they stumbled over.
 */
const describe = (error: unknown, depth = 0): object => {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = (error as { code?: unknown }).code;
  return {
    name: error.name,
    ...(typeof code === 'string' && code.length <= 60 ? { code } : {}),
    ...(isAppError(error) ? { message: error.message } : {}),
    at: framesOf(error),
    ...(error.cause === undefined || depth > 3 ? {} : { cause: describe(error.cause, depth + 1) }),
  };
};

/** The same, but for what must be said whatever level is asked for: at least `info`. A silent one stays silent. */
export const unmuted = (logger: Logger): Logger =>
  logger.level === 'silent' || logger.isLevelEnabled('info') ? logger : logger.child({}, { level: 'info' });

/** JSON lines by allow-list: route patterns instead of URLs, no headers, no addresses, no values. */
export const createLogger = (level: string, destination?: DestinationStream): Logger =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        log: (fields) => Object.fromEntries(Object.entries(fields).filter(([name]) => FIELDS.has(name))),
      },
      serializers: {
        req: (request: LoggedRequest) => ({
          id: request.id,
          method: request.method,
          route: request.routeOptions?.url ?? null,
        }),
        res: (reply: { readonly statusCode: number }) => ({ statusCode: reply.statusCode }),
        err: (error: unknown) => describe(error),
        error: (error: unknown) => describe(error),
      },
    },
    destination ?? pino.destination({ fd: 1, sync: false }),
  );
