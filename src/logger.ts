import { type DestinationStream, type Logger, pino } from 'pino';
import { isAppError } from './core/errors.ts';

type LoggedRequest = {
  readonly id: string;
  readonly method: string;
  readonly routeOptions?: { readonly url?: string | undefined };
};

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
    at: (error.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 12)
      .map((line) => line.trim()),
    ...(error.cause === undefined || depth > 3 ? {} : { cause: describe(error.cause, depth + 1) }),
  };
};

/** JSON lines by allow-list: route patterns instead of URLs, no headers, no addresses, no values. */
export const createLogger = (level: string, destination?: DestinationStream): Logger =>
  pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
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
