import { isIP } from 'node:net';
import { isLoopbackHost } from './network-address.ts';

/** A connection URL taken apart: read once, by these rules, and handed on as values that nothing parses again. */
export type PostgresUrl = {
  /** Host name, address without brackets, or the absolute folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Empty when the URL holds none (Unix socket, client certificate). */
  readonly password: string;
  readonly database: string;
  readonly tls: {
    readonly rootCertificateFile: string | null;
    readonly certificateFile: string | null;
    readonly keyFile: string | null;
  } | null;
};

/** Thrown by the parser only; the message ends a sentence that begins with the variable's name, and quotes no password. */
class UrlFault extends Error {}

const refuse = (fault: string): never => {
  throw new UrlFault(fault);
};

const PARAMETERS = ['host', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'] as const;
type Parameter = (typeof PARAMETERS)[number];

const decode = (part: string, what: string): string => {
  try {
    const text = decodeURIComponent(part);
    return /[\p{Cc}]/u.test(text) ? refuse(`has a control character in its ${what}`) : text;
  } catch (error) {
    if (error instanceof UrlFault) throw error;
    return refuse(
      `has a "%" in its ${what} that is not followed by two hexadecimal digits (write %25 for "%")`,
    );
  }
};

/** Every parameter at most once and none that we do not know: another program would read the URL in another way. */
const parametersOf = (url: URL): Readonly<Partial<Record<Parameter, string>>> => {
  const found: Partial<Record<Parameter, string>> = {};
  for (const pair of url.search
    .slice(1)
    .split('&')
    .filter((one) => one !== '')) {
    const [rawName = '', ...rawValue] = pair.split('=');
    const name = PARAMETERS.find((known) => known === decode(rawName, 'parameters'));
    if (name === undefined)
      return refuse(`has a parameter that is not known here (known: ${PARAMETERS.join(', ')}): take it out`);
    if (found[name] !== undefined) return refuse(`has the parameter ${name} twice`);
    found[name] = decode(rawValue.join('='), `parameter ${name}`);
  }
  return found;
};

const hostOf = (authority: string, parameter: string | undefined): string => {
  const written = decode(authority, 'host name').replace(/^\[(.*)\]$/, '$1');
  if (written !== '' && parameter !== undefined)
    return refuse('names its host twice, before the path and as a parameter');
  const host = written === '' ? (parameter ?? '') : written;
  if (host === '') return refuse('names no host (for a Unix socket write ?host=/folder)');
  if (host.includes(','))
    return refuse('names several hosts: name one, or an address that moves with the primary');
  if (host.startsWith('/'))
    return /(^|\/)\.\.?(\/|$)/.test(host) ? refuse('has "." or ".." in its socket folder') : host;
  if (isIP(host) === 0 && !/^[a-z0-9]([a-z0-9_.-]{0,251}[a-z0-9])?$/i.test(host))
    return refuse('has a host that is neither a name, nor an IP address, nor an absolute folder');
  return host;
};

const NOT_IN_THE_CLEAR = 'set sslmode=verify-full';

/** Why this URL's way to its host will not do; null when it will. */
const wayFault = (host: string, given: Readonly<Partial<Record<Parameter, string>>>): string | null => {
  const { sslmode } = given;
  if (sslmode === 'verify-full') return null;
  if (!host.startsWith('/') && !isLoopbackHost(host))
    return sslmode === undefined
      ? `connects to another machine with no sslmode, which is plain text: ${NOT_IN_THE_CLEAR}`
      : `connects to another machine with an sslmode that does not prove who answers: ${NOT_IN_THE_CLEAR}`;
  if (sslmode !== undefined && sslmode !== 'disable')
    return 'has an sslmode other than verify-full or disable: the ones in between prove nothing';
  return given.sslrootcert === undefined && given.sslcert === undefined && given.sslkey === undefined
    ? null
    : `names certificates that nothing would use: ${NOT_IN_THE_CLEAR}`;
};

const tlsOf = (given: Readonly<Partial<Record<Parameter, string>>>): PostgresUrl['tls'] =>
  given.sslmode === 'verify-full'
    ? {
        rootCertificateFile: given.sslrootcert ?? null,
        certificateFile: given.sslcert ?? null,
        keyFile: given.sslkey ?? null,
      }
    : null;

const parse = (text: string, faults: string[]): PostgresUrl => {
  // The URL parser would silently drop some of these.
  if (/[\s\p{Cc}\\]/u.test(text))
    return refuse('has a space, a control character or a backslash: encode it as %XX');
  if (!/^postgres(ql)?:\/\//.test(text)) return refuse('does not begin with postgresql://');
  if (text.includes('#')) return refuse('has a "#": write %23');
  // "user:password@/database" is how a Unix socket is written, and no URL to the parser: give it a host to read past.
  const [, beforeHost] = /^(postgres(?:ql)?:\/\/(?:[^/@?]*@)?)[/?]/.exec(text) ?? [];
  const readable = beforeHost === undefined ? text : `${beforeHost}none${text.slice(beforeHost.length)}`;
  if (!URL.canParse(readable))
    return refuse(
      'is not a URL of one host and one port (write ":", "/", "?", "@" and "%" in names and passwords as %XX)',
    );
  const url = new URL(readable);
  const given = parametersOf(url);
  const host = hostOf(beforeHost === undefined ? url.hostname : '', given.host);
  const fault = wayFault(host, given);
  if (fault !== null) faults.push(fault);
  const [database = '', ...rest] = url.pathname.slice(1).split('/');
  if (database === '' || rest.length > 0)
    return refuse('does not name one database (postgresql://user:password@host/database)');
  if (url.username === '') return refuse('names no user');
  if (url.port === '0') return refuse('has port 0');
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    user: decode(url.username, 'user name'),
    password: decode(url.password, 'password'),
    database: decode(database, 'database name'),
    tls: tlsOf(given),
  };
};

/**
 * Reads a PostgreSQL connection URL. `faults` are ends of sentences without a secret; a URL with faults is not used, and is
 * null when it could not be read. Anything ambiguous is a fault: several hosts, repeated or unknown parameters, and on the
 * way to another machine everything but `sslmode=verify-full`.
 */
export const parsePostgresUrl = (
  text: string,
): { readonly url: PostgresUrl | null; readonly faults: readonly string[] } => {
  const faults: string[] = [];
  try {
    return { url: parse(text, faults), faults };
  } catch (error) {
    if (error instanceof UrlFault) return { url: null, faults: [...faults, error.message] };
    throw error;
  }
};
