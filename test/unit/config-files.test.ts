import { chmodSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import { readConfig, readEnvironment } from '../../src/config.ts';
import { names, rules } from '../../src/config-schema.ts';
import { isAppError } from '../../src/core/errors.ts';
import { FAR, readsSettings, S3, SECRET } from '../support/settings.ts';

/** Settings that come from files. */
const { accepted, faultsOf, folder } = readsSettings();

describe('secrets from files', () => {
  test('a file is read, without its last line end', () => {
    const file = join(folder, 'url');
    writeFileSync(file, `${FAR}\n`, { mode: 0o600 });
    expect(accepted({ DATABASE_URL_FILE: file }).database?.password).toBe(SECRET);
  });

  test('both at once, a missing file, an empty one, and one with two lines are faults', () => {
    const file = join(folder, 'secret');
    writeFileSync(file, 'one\ntwo', { mode: 0o600 });
    expect(faultsOf({ ...S3, S3_SECRET_ACCESS_KEY_FILE: file })[0]).toMatch(/both set/);
    const { S3_SECRET_ACCESS_KEY: _, ...rest } = S3;
    expect(faultsOf({ ...rest, S3_SECRET_ACCESS_KEY_FILE: file })).toEqual([
      'S3_SECRET_ACCESS_KEY must be printable ASCII',
    ]);
    writeFileSync(file, '');
    expect(faultsOf({ ...rest, S3_SECRET_ACCESS_KEY_FILE: file })).toEqual([
      'S3_SECRET_ACCESS_KEY must be printable ASCII',
    ]);
    expect(faultsOf({ ...rest, S3_SECRET_ACCESS_KEY_FILE: '/none' })).toEqual([
      expect.stringMatching(/^S3_SECRET_ACCESS_KEY_FILE names a file that cannot be read/),
    ]);
  });
});

/** Every fault that `.env` with this in it leads to. */
const saidOf = (text: string): readonly string[] => {
  writeFileSync(join(folder, '.env'), text, { mode: 0o600 });
  try {
    return faultsOf(readEnvironment(folder));
  } catch (error) {
    if (!isAppError(error, 'config_invalid')) throw error;
    return (error.extras.faults ?? []).map(({ where, fault }) => `${where} ${fault}`);
  }
};

describe('a file with a secret', () => {
  const { S3_SECRET_ACCESS_KEY: _, S3_ACCESS_KEY_ID: __, ...rest } = S3;
  const given = (variable: string, value: string, mode: number): string => {
    const file = join(folder, variable);
    writeFileSync(file, value, { mode: 0o600 });
    chmodSync(file, mode);
    return file;
  };
  const settings = (mode: number) => ({
    ...rest,
    DATABASE_URL_FILE: given('url', FAR, mode),
    S3_ACCESS_KEY_ID_FILE: given('id', 'AKIA123', mode),
    S3_SECRET_ACCESS_KEY_FILE: given('key', SECRET, mode),
  });

  test.each(['666', '620', '602', '664', '646', '460'])(
    'of mode %s, which others may write, is refused',
    (octal) => {
      const mode = Number.parseInt(octal, 8);
      const faults = faultsOf(settings(mode));
      expect(faults).toHaveLength(3);
      for (const variable of ['DATABASE_URL', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'])
        expect(faults.join('\n')).toMatch(
          new RegExp(`^${variable}_FILE names a file that others .* chmod go-w`, 'm'),
        );
      expect(faults.join()).not.toContain(SECRET);
    },
  );

  test.each(['400', '600', '440', '444', '644'])(
    'of mode %s, which its owner alone may write, is taken',
    (octal) => {
      const mode = Number.parseInt(octal, 8);
      expect(accepted(settings(mode)).s3?.secretAccessKey).toBe(SECRET);
    },
  );

  test('is judged by what a symbolic link leads to', () => {
    const link = join(folder, 'link');
    symlinkSync(given('url', FAR, 0o444), link);
    expect(accepted({ DATABASE_URL_FILE: link }).database?.password).toBe(SECRET);
    given('url', FAR, 0o666);
    expect(faultsOf({ DATABASE_URL_FILE: link })).toEqual([
      expect.stringMatching(/^DATABASE_URL_FILE .* go-w/),
    ]);
  });
});

describe('.env', () => {
  test('is read from a folder, and the environment wins over it', () => {
    writeFileSync(
      join(folder, '.env'),
      'PORT=9001\nHOST=from-the-file\nINSTALLATION_NAME="vault.example.org" # name\n',
    );
    vi.stubEnv('HOST', '127.0.0.2');
    const env = readEnvironment(folder);
    vi.unstubAllEnvs();
    expect([env.PORT, env.INSTALLATION_NAME]).toEqual(['9001', 'vault.example.org']);
    expect(env.HOST).toBe('127.0.0.2');
    expect(process.env.INSTALLATION_NAME).toBeUndefined();
    expect(readEnvironment(join(folder, 'nowhere')).PORT).toBeUndefined();
  });

  test('what is no setting is named by its line, and never repeated', () => {
    const env = join(folder, '.env');
    writeFileSync(env, '# ours\n\nPORT=9001\nexport HOST=127.0.0.1\ncorrect-horse-battery\n');
    expect(() => readEnvironment(folder)).toThrow(/\.env has no setting \(NAME=value\) in line 5/);
    expect(() => readEnvironment(folder)).not.toThrow(/horse/);
  });

  test('holds nothing that nobody reads, for what was meant by it would not be in force', () => {
    const nothing = 'in .env is nothing that Callvault reads from there: ';
    const out = 'take it out, or put it into the environment of the program that it is for';
    expect(saidOf('PROT=9001\nFOO_BAR=1\nexport NODE_EXTRA_CA_CERTS=/x\nport=1\n')).toEqual([
      `FOO_BAR ${nothing}${out}`,
      `NODE_EXTRA_CA_CERTS ${nothing}${out}`,
      `PROT ${nothing}write PORT if that is what is meant, or ${out}`,
      `.env has a name in line 4 that is nothing that Callvault reads from there: ${out}`,
    ]);
    expect(saidOf('S3_BUCKETS=x\n')).toEqual([expect.stringMatching(/^S3_BUCKETS .* write S3_BUCKET if/)]);
    expect(saidOf('COMPOSE_PROJECT_NAME=x\nCALLVAULT_TOKEN=y\nKEY_FILE=/x\n')).toEqual([]);
  });

  test('a secret that lost its name is not taken for one', () => {
    const said = saidOf('correctHorseBatteryStaple==\nA="1\n2"\n').join();
    expect(said).toMatch(/nothing that Callvault reads/);
    expect(said).not.toMatch(/Horse/);
  });

  test('its faults come with those of the values', () => {
    expect(saidOf('FOO_BAR=1\nPORT=eighty\nno setting\n')).toEqual([
      expect.stringMatching(/^\.env has no setting .* line 3/),
      expect.stringMatching(/^FOO_BAR in \.env/),
      expect.stringMatching(/^PORT must be/),
    ]);
  });

  test('with a secret in it, it must be closed to other users', () => {
    const env = join(folder, '.env');
    writeFileSync(env, 'S3_SECRET_ACCESS_KEY=9f86d081884c7d659a2feaa0c55ad015\n', { mode: 0o600 });
    for (const mode of [0o644, 0o640, 0o604]) {
      chmodSync(env, mode);
      expect(() => readEnvironment(folder)).toThrow(/\.env holds S3_SECRET_ACCESS_KEY.*chmod 600/);
      expect(() => readEnvironment(folder)).not.toThrow(/9f86d0/);
    }
    chmodSync(env, 0o600);
    expect(readEnvironment(folder).S3_SECRET_ACCESS_KEY).toMatch(/^9f86/);
    writeFileSync(env, 'PORT=9001\n');
    chmodSync(env, 0o644);
    expect(readEnvironment(folder).PORT).toBe('9001');
  });
});

describe('.env, each name once and with a value', () => {
  test('a name that is in it twice is named with its lines, and its values are not', () => {
    const faults = saidOf(
      'PORT=9001\n# PORT=1\nHOST=127.0.0.1\nexport PORT=9002\nCALLVAULT_TOKEN=a\nCALLVAULT_TOKEN=b\n',
    );
    expect(faults).toEqual([
      'PORT is in .env more than once, in lines 1 and 4: keep one',
      'CALLVAULT_TOKEN is in .env more than once, in lines 5 and 6: keep one',
    ]);
    expect(saidOf('PORT=1\nPORT=1\nPORT=1\n')).toEqual([
      expect.stringMatching(/lines 1, 2 and 3: keep one$/),
    ]);
    expect(saidOf('PORT=9001\n# PORT=9002\n')).toEqual([]);
  });

  test('a variable that is set to nothing in it, or over it, is refused', () => {
    expect(saidOf('DATABASE_URL=\n')).toEqual([expect.stringMatching(/^DATABASE_URL is set but empty/)]);
    vi.stubEnv('CHECKPOINT_DIR', '');
    expect(saidOf('CHECKPOINT_DIR=/mnt/x\n')).toEqual([
      expect.stringMatching(/^CHECKPOINT_DIR is set but empty/),
    ]);
    vi.unstubAllEnvs();
  });
});

describe('.env.example', () => {
  const example = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8');
  const written = [...example.matchAll(/^#?([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
    ([, name, value]) => [name, value] as const,
  );

  test('the example documents every variable once and no other', () => {
    expect(written.map(([name]) => name).sort()).toEqual([...names].sort());
  });

  test('the example shows defaults as they are', () => {
    for (const [name, value] of written) {
      const rule = rules[name as keyof typeof rules];
      if (rule.default !== undefined) expect(`${name}=${value}`).toBe(`${name}=${rule.default}`);
    }
  });

  test('the example says which secrets can come from a file', () => {
    const marked = [...example.matchAll(/\(or _FILE\)\n#([A-Z0-9_]+)=/g)].map(([, name]) => name);
    expect(marked.sort()).toEqual(names.filter((name) => rules[name].secret).sort());
  });

  test('the example as it is changes nothing', () => {
    expect(readConfig(parseEnv(example))).toEqual(readConfig({}));
  });
});
