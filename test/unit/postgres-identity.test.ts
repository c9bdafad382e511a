import { describe, expect, test } from 'vitest';
import { possibleIdentities } from '../../src/storage/postgres-identity.ts';

const USUAL = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
vault:x:1000:1000::/home/vault:/bin/bash
`;
const WITH_POSTGRES = `${USUAL}postgres:x:101:104::/var/lib/postgresql:/bin/bash\n`;

const shown = (uid: number, passwd: string): readonly string[] =>
  possibleIdentities(uid, passwd).map(({ kind, prefix, owner }) =>
    [kind, ...(owner === null ? [] : [`as ${owner.name}`]), ...prefix].join(' '),
  );

const LIFELINE = 'setpriv --pdeathsig INT';

describe('an ordinary user', () => {
  test('runs the server as itself, tied to its own life where the system can', () => {
    expect(shown(1000, USUAL)).toEqual([`self ${LIFELINE}`, 'self']);
  });

  test('that /etc/passwd does not know needs a namespace, for initdb asks for a name', () => {
    expect(shown(4711, USUAL)).toEqual([
      `namespace unshare --user --map-user=1 --map-group=1 ${LIFELINE}`,
      'namespace unshare --user --map-user=1 --map-group=1',
    ]);
  });

  test('is never changed into another account', () => {
    expect(possibleIdentities(1000, WITH_POSTGRES).every(({ owner }) => owner === null)).toBe(true);
    expect(possibleIdentities(4711, WITH_POSTGRES).every(({ owner }) => owner === null)).toBe(true);
  });
});

describe('root', () => {
  test('runs the server in a namespace, and as an account only when that cannot be', () => {
    expect(shown(0, WITH_POSTGRES)).toEqual([
      `namespace unshare --user --map-user=101 --map-group=104 ${LIFELINE}`,
      'namespace unshare --user --map-user=101 --map-group=104',
      `account as postgres ${LIFELINE}`,
      'account as postgres',
    ]);
  });

  test('takes nobody where there is no postgres', () => {
    expect(shown(0, USUAL)).toContain(`account as nobody ${LIFELINE}`);
  });

  test('never runs it as root', () => {
    for (const passwd of ['', 'root:x:0:0:::\n', USUAL, 'toor:x:0:0:::\nroot:x:0:0:::\n'])
      for (const { kind, prefix, owner } of possibleIdentities(0, passwd)) {
        expect(kind).not.toBe('self');
        expect(prefix.join(' ')).not.toMatch(/--map-user=0\b/);
        expect(owner?.uid).not.toBe(0);
      }
  });
});

test('lines that are no accounts are passed over', () => {
  expect(shown(0, '\n#comment\nbroken:x\nx:y:z:w\n+::::::\n')).toEqual([]);
});
