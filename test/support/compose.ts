import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type RawEnvironment, readConfig } from '../../src/config.ts';
import { isAppError } from '../../src/core/errors.ts';

const ROOT = join(import.meta.dirname, '../..');

export type Service = {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: Readonly<Record<string, unknown>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly command?: readonly string[];
  readonly build?: unknown;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
};

const resolve = (): Readonly<Record<string, Service>> => {
  const { status, stdout, stderr, error } = spawnSync(
    'docker-compose',
    ['--file', 'docker-compose.yml', 'config'],
    { cwd: ROOT, encoding: 'utf8' },
  );
  if (error !== undefined)
    throw new Error(
      'There is no docker-compose. As root: apt-get install --no-install-recommends docker-compose',
    );
  if (status !== 0) throw new Error(`docker-compose does not accept the file:\n${stderr}`);
  return (parse(stdout) as { services: Record<string, Service> }).services;
};

/**
 * docker-compose.yml as Compose itself resolves it, with certificates and passwords really made by deploy/prepare.sh, in a
 * folder that the caller removes.
 */
export const resolveCompose = () => {
  const services = resolve();
  const folder = mkdtempSync(join(tmpdir(), 'compose-'));
  const service = (name: string): Service => services[name] as Service;

  /** Folder that stands for the volume a service sees as /prepared. */
  const preparedOf = (name: string): string => {
    const volume = service(name).volumes?.find((one) => one.endsWith(':/prepared:ro'));
    const place = service('prepare').volumes?.find((one) =>
      one.startsWith(`${volume?.split(':')[0]}:/prepared/`),
    );
    return join(folder, /:\/prepared\/(\w+):rw$/.exec(place ?? '')?.[1] as string);
  };

  /** The environment of a service with the files where they really are; `_FILE`s that name files by URL included. */
  const environmentOf = (name: string): Record<string, string> => {
    const prepared = preparedOf(name);
    const copy = mkdtempSync(join(folder, `${name}-`));
    const real: Record<string, string> = {};
    for (const [variable, value] of Object.entries(service(name).environment ?? {})) {
      if (!value.startsWith('/prepared/')) real[variable] = value;
      else if (!variable.endsWith('DATABASE_URL_FILE')) real[variable] = value.replace('/prepared', prepared);
      else {
        const url = readFileSync(value.replace('/prepared', prepared), 'utf8');
        real[variable] = join(copy, variable);
        writeFileSync(real[variable], url.replaceAll('/prepared/', `${prepared}/`));
      }
    }
    return real;
  };

  /** What the one-shot service does, again. */
  const prepare = (): void => {
    execFileSync('sh', [join(ROOT, 'deploy/prepare.sh'), folder], { stdio: 'pipe' });
  };
  prepare();
  return { services, service, folder, prepare, preparedOf, environmentOf };
};

export type Compose = ReturnType<typeof resolveCompose>;

/** Every fault of a configuration as `VARIABLE fault`; empty when it is accepted. */
export const faultsOf = (env: RawEnvironment): readonly string[] => {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (!isAppError(error, 'config_invalid')) throw error;
    return (error.extras.faults ?? []).map(({ where, fault }) => `${where} ${fault}`);
  }
};
