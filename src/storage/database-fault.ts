import { AppError } from '../core/errors.ts';

/** What the drivers' errors have in common, whichever of them wrapped the other. */
type DriverError = {
  readonly code?: unknown;
  readonly message?: unknown;
  /** Prisma hides what the server or the socket said in here. */
  readonly meta?: {
    readonly driverAdapterError?: {
      readonly cause?: { readonly kind?: unknown; readonly originalCode?: unknown };
    };
  };
};

/**
 * SQLSTATE classes and codes with which a server says that it cannot do anything now, whatever it was asked: connection,
 * resources (full disk, too many connections), intervention (shutdown, cancelled statement), lock not had in time, idle
 * session ended, system error.
 */
const UNABLE = /^(08|53|57|58)|^(55P03|25P0[34])$/;
/** The same in Prisma's words: kinds of the driver's errors, and codes of its own waiting. */
const PRISMA_KINDS = new Set([
  'DatabaseNotReachable',
  'ConnectionClosed',
  'SocketTimeout',
  'TlsConnectionError',
  'TooManyConnections',
]);
const PRISMA_CODES = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2037']);
/** `pg` has no codes for what it finds out itself. */
const CLIENT_SAYS =
  /^(Connection terminated|timeout exceeded when|Query read timeout)|not queryable|after calling end/;

const isAway = ({ code, message, meta }: DriverError): boolean => {
  const cause = meta?.driverAdapterError?.cause;
  if (PRISMA_KINDS.has(String(cause?.kind))) return true;
  const said = cause?.originalCode ?? code;
  if (typeof said !== 'string') return CLIENT_SAYS.test(String(message));
  // ECONNREFUSED, EPIPE and their like: the socket's own.
  return UNABLE.test(said) || PRISMA_CODES.has(said) || /^E[A-Z]{3,}$/.test(said);
};

/**
 * An error of the database as the rest of the vault sees it: `database_unavailable` when it cannot be asked now. What is
 * wrong with the question (a constraint, a value, a mistake of ours) passes unchanged, and so does an AppError.
 */
export const databaseFault = (error: unknown): unknown =>
  error instanceof AppError || typeof error !== 'object' || error === null || !isAway(error)
    ? error
    : new AppError('database_unavailable', 'The database cannot be asked now.', { cause: error });

type Table = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>;

/** The same table, whose every rejection has gone through {@link databaseFault}. */
export const withDatabaseFaults = <T extends Table>(table: T): T => {
  const guarded = Object.entries(table).map(([name, method]) => [
    name,
    async (...args: never[]) => {
      try {
        return await method(...args);
      } catch (error) {
        throw databaseFault(error);
      }
    },
  ]);
  return Object.fromEntries(guarded) as T;
};
