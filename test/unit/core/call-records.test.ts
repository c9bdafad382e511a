import { describe, expect, test } from 'vitest';
import { readCallRecords } from '../../../src/core/call-records.ts';
import { AppError } from '../../../src/core/errors.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const read = (text: string, timeZone: string | null = 'Europe/Stockholm') =>
  readCallRecords(text, timeZone, NOW);
const at = (text: string): number => Date.parse(text);

describe('call records of telephone systems', () => {
  test('FreePBX: the export of its table cdr', () => {
    const { calls, refused } = read(
      'calldate,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,duration,billsec,disposition,amaflags,accountcode,uniqueid,userfield,did,recordingfile,cnum,cnam,outbound_cnum,outbound_cnam,dst_cnam,linkedid,peeraccount,sequence\n' +
        '2026-11-20 10:00:00,"""Anna"" <0701740605>",0701740605,600,from-internal,SIP/a-1,SIP/b-2,Queue,"600,t",75,60,ANSWERED,3,,1763629200.17,,,q.wav,0701740605,Anna,,,,1763629200.17,,5\n' +
        '2026-11-20 10:05:00,x,0701740605,600,c,a,,Dial,,20,0,NO ANSWER,3,,1763629500.18,,,,,,,,,1763629500.18,,6\n',
    );
    expect(refused).toBe(0);
    expect(calls).toMatchObject([
      {
        callId: '1763629200.17',
        startedAt: at('2026-11-20T09:00:00Z'),
        overAt: at('2026-11-20T09:01:00Z'),
        expected: true,
        expectedMs: 60_000,
        callerNumber: { canonical: '+46701740605' },
      },
      { callId: '1763629500.18', expected: false, reason: 'not_answered', expectedMs: 0 },
    ]);
  });

  test('Asterisk’s own names of columns, with semicolons', () => {
    const { calls } = read(
      'src;dst;start;answer;end;billsec;disposition;uniqueid\n0701740605;600;2026-07-01 10:00:00;2026-07-01 10:00:09;2026-07-01 10:01:00;51;ANSWERED;17.4\n',
    );
    expect(calls).toMatchObject([
      {
        callId: '17.4',
        startedAt: at('2026-07-01T08:00:00Z'),
        endedAt: at('2026-07-01T08:01:00Z'),
        expectedMs: 51_000,
      },
    ]);
  });

  test('FusionPBX: seconds since 1970 before stamps, its directions, and stamps with the zone of PostgreSQL', () => {
    const header = 'xml_cdr_uuid,direction,caller_id_number,destination_number,start_stamp,end_stamp,billsec';
    const uuid = '5f1c9ae2-1111-4222-8333-444455556666';
    const { calls } = read(
      `${header},start_epoch\n${uuid},local,100,101,2026-11-20 10:00:00.25+01,2026-11-20T09:00:30Z,30,1763629200\n`,
      null,
    );
    expect(calls).toMatchObject([
      {
        callId: uuid,
        direction: 'internal',
        startedAt: 1_763_629_200_000,
        endedAt: at('2026-11-20T09:00:30Z'),
      },
    ]);
    const { calls: stamped } = read(`${header}\n${uuid},inbound,,,2026-11-20 10:00:00.25+0100,,30\n`, null);
    expect(stamped).toMatchObject([{ startedAt: at('2026-11-20T09:00:00Z'), direction: 'inbound' }]);
  });

  test('our own names win over others, and say what should not be recorded', () => {
    const { calls } = read(
      'callId,uniqueid,startedAt,recorded,reason,expectedDurationMs,billsec\na,b,2026-11-20T10:00:00Z,not_expected,caller_declined,1500,60\n',
    );
    expect(calls).toMatchObject([
      { callId: 'a', expected: false, reason: 'caller_declined', expectedMs: 1500 },
    ]);
  });
});

describe('several rows of one call', () => {
  const HEAD = 'uniqueid,calldate,billsec,disposition';
  const legs = (...rows: string[]) => read([HEAD, ...rows].join('\n'));
  const leg = (time: string, billsec: number, disposition: string): string =>
    `q.1,2026-11-20 10:${time},${billsec},${disposition}`;
  const answered = { expected: true, reason: null, expectedMs: 55_000 };

  test.each([
    ['answered, then not', [leg('00:00', 55, 'ANSWERED'), leg('00:20', 0, 'NO ANSWER')]],
    ['not answered, then so', [leg('00:00', 0, 'NO ANSWER'), leg('00:20', 55, 'ANSWERED')]],
    ['between failures', [leg('00:00', 0, 'BUSY'), leg('00:20', 55, 'ANSWERED'), leg('00:30', 0, 'FAILED')]],
    ['the longer first', [leg('00:00', 55, 'ANSWERED'), leg('01:00', 5, 'ANSWERED')]],
    ['the longer last', [leg('00:00', 5, 'ANSWERED'), leg('01:00', 55, 'ANSWERED')]],
    ['one that rang for long', [leg('00:00', 55, 'ANSWERED'), leg('00:00', 900, 'NO ANSWER')]],
    ['one that rang for long first', [leg('00:00', 900, 'NO ANSWER'), leg('00:00', 55, 'ANSWERED')]],
  ])('%s: an answered call, as long as the longest', (_what, rows) => {
    const { calls, rows: places, refused } = legs(...rows);
    expect(calls).toMatchObject([{ ...answered, startedAt: at('2026-11-20T09:00:00Z') }]);
    expect(places).toEqual(rows.map(() => 0));
    expect(refused).toBe(0);
  });

  test('answered by nobody in any row: nobody need look for it', () => {
    const { calls } = legs(leg('00:00', 0, 'NO ANSWER'), leg('00:20', 0, 'BUSY'));
    expect(calls).toMatchObject([{ expected: false, reason: 'not_answered' }]);
  });

  test('who declined, did so for every leg; what is said in our own words corrects the legs before it', () => {
    const own = (...rows: string[]) =>
      read(`${HEAD},recorded,reason,expectedDurationMs\n${rows.join('\n')}`).calls;
    const declined = `${leg('00:00', 55, 'ANSWERED')},not_expected,caller_declined,`;
    const plain = `${leg('00:30', 60, 'ANSWERED')},,,`;
    for (const rows of [
      [declined, plain],
      [plain, declined],
    ])
      expect(own(...rows)).toMatchObject([{ expected: false, reason: 'caller_declined' }]);
    const shorter = `${leg('00:00', 90, 'ANSWERED')},,,20000`;
    expect(own(plain, shorter)).toMatchObject([{ expected: true, expectedMs: 20_000, isLeg: false }]);
  });

  test('each row is told its call, and calls between them stay theirs', () => {
    const { calls, rows } = legs(
      leg('00:00', 5, 'ANSWERED'),
      'q.2,2026-11-20 10:00:00,7,ANSWERED',
      ',2026-11-20 10:00:00,7,ANSWERED',
      '',
      leg('00:30', 0, 'NO ANSWER'),
    );
    expect(calls.map(({ callId }) => callId)).toEqual(['q.1', 'q.2']);
    expect(rows).toEqual([0, 1, null, 0]);
  });
});

const faultOf = (text: string): { code: string; faults: unknown } => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof AppError) return { code: error.code, faults: error.extras.faults };
  }
  throw new Error('it was taken');
};

describe('hostile tables', () => {
  test.each([
    ['no id', 'startedAt\n2026-01-01 00:00:00'],
    ['no start', 'uniqueid\n1'],
    ['one name twice', 'uniqueid,uniqueid,start\n1,2,3'],
    ['an open quotation mark', 'uniqueid,start\n"0701740605'],
    // docs/radar.md: where the row ends nobody knows.
    [
      'an open quotation mark between good rows',
      'uniqueid,start\na,2026-11-20 10:00:00\n"b,\nc,2026-11-20 10:00:00\n',
    ],
    [
      'a stray quotation mark that the next one closes',
      'uniqueid,start\n"a,2026-11-20 10:00:00\nb,"2026-11-20 10:00:00"\n',
    ],
    ['another file altogether', '\u007fELF\u0002\u0001'],
  ])('%s is refused whole', (_what, text) => {
    const { code, faults } = faultOf(text);
    expect(code).toBe('invalid_request');
    expect(JSON.stringify(faults)).not.toContain('07017');
  });

  test('a row that cannot be read is left out and named by its line; the others are taken', () => {
    const rows = [
      'good,2026-11-20 10:00:00,1',
      ',2026-11-20 10:00:00,1',
      'x,0701740605,1',
      'x,2026-02-30 10:00:00,1',
      'x,2026-11-20 25:00:00,1',
      'x,2036-11-20 10:00:00,1',
      'x,2026-11-20 10:00:00,99999999999',
      'x,2026-11-20 10:00:00,-5',
      '"x\u0007",2026-11-20 10:00:00,1',
      `${'7'.repeat(300)},2026-11-20 10:00:00,1`,
      '=HYPERLINK("x"),2026-11-20 10:00:00+99:99,1',
      'also good,2026-11-20 10:00:00,1',
    ];
    const { calls, refused, faults } = read(`uniqueid,start,billsec\n${rows.join('\n')}`);
    expect(calls.map(({ callId }) => callId)).toEqual(['good', 'also good']);
    expect(refused).toBe(10);
    expect(faults.map(({ where }) => where.split(':')[0])).toEqual(
      [3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map((line) => `line ${line}`),
    );
    expect(JSON.stringify(faults)).not.toMatch(/07017|7777|HYPERLINK/);
  });

  test('a time of no zone is not guessed', () => {
    const { calls, faults } = read('uniqueid,start\n1,2026-11-20 10:00:00', null);
    expect(calls).toEqual([]);
    expect(faults).toEqual([{ where: 'line 2: startedAt', fault: expect.stringContaining('timeZone') }]);
  });

  test('columns named like parts of every object are columns like others', () => {
    const { calls } = read('__proto__,constructor,uniqueid,start\n1,2,3,2026-11-20 10:00:00');
    expect(calls).toMatchObject([{ callId: '3' }]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('at most 20 faults are named, however many there are', () => {
    const { refused, faults } = read(`uniqueid,start\n${'1,x\n'.repeat(500)}`);
    expect([refused, faults.length]).toEqual([500, 20]);
  });
});
