import { randomUUID } from 'node:crypto';
import { appendFile, copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type CareLineVault, newCall, startCareLine } from '../support/care-line.ts';
import { until } from '../support/child.ts';
import { jsonOf, type Reply } from '../support/http-client.ts';
import { flipBit, type KeptRecording, keepRecording } from '../support/kept-recording.ts';
import { expectProblem } from '../support/problems.ts';
import { inDatabase } from '../support/vault-inspection.ts';
import { CALLER, CALLER_SHOWN, expectNothing } from '../support/ways-to-hear.ts';

/** docs/file-format.md §2: segments of an object, and the plaintext in the first and in each other one. */
const SEGMENT = 65_536;
const FIRST = 65_480;
const NEXT = 65_520;
/** Twelve segments and a bit: more than one piece of 512 KiB. */
const BYTES = FIRST + 11 * NEXT + 10_000;

let world: CareLineVault;
/** Its neighbour, which plays whatever becomes of others. */
let sound: KeptRecording;

beforeAll(async () => {
  world = await startCareLine();
  sound = await keepRecording(world, BYTES);
});
afterEach(async () => {
  expect((await world.line.hear(sound.id)).equals(sound.audio)).toBe(true);
  expect((await world.line.http.get('/readyz')).status).toBe(200);
});
afterAll(() => world?.folder.remove());

const listen = async (audioUrl: string, headers: Record<string, string> = {}): Promise<Reply> =>
  world.line.http.get(audioUrl, { token: await world.line.nurse.token(), headers });

const damagedEntries = async (recording: string): Promise<number> => {
  const json = { recording, action: 'recording.damaged' };
  const asked = { token: await world.line.compliance.token(), json };
  const reply = await world.line.http.post('/v1/audit/search', asked);
  return jsonOf<{ entries: unknown[] }>(reply, 200).entries.length;
};

/** One line for the operator and one entry of the log: the answer says that he has been told. */
const expectAlarm = async (recording: string): Promise<void> => {
  expect(await damagedEntries(recording)).toBe(1);
  const alarms = (): readonly string[] => {
    const lines = world.vault.output().split('\n');
    return lines.filter((line) => line.includes('ALARM') && line.includes(recording));
  };
  await until(() => alarms().length > 0);
  expect(alarms()).toHaveLength(1);
};

const sizeOf = async (path: string): Promise<number> => (await readFile(path)).length;

test.each<[string, (path: string) => Promise<unknown>]>([
  ['cut at the end of a segment', (path) => truncate(path, 2 * SEGMENT)],
  ['cut within a segment', (path) => truncate(path, 2 * SEGMENT + 100)],
  ['cut by its last byte', async (path) => truncate(path, (await sizeOf(path)) - 1)],
  ['emptied', (path) => truncate(path, 0)],
  ['with bytes appended', (path) => appendFile(path, Buffer.alloc(16))],
  ['gone', (path) => rm(path)],
  ['replaced by another recording of the same length', (path) => copyFile(sound.path, path)],
  ['replaced by zeros of the same length', async (path) => writeFile(path, Buffer.alloc(await sizeOf(path)))],
])('an object %s: not one of its pieces is played', async (_name, damage) => {
  const { id, path, audio } = await keepRecording(world, BYTES);
  await damage(path);
  const audioUrl = await world.line.openPlayback(id);
  for (const range of ['bytes=0-99', `bytes=${FIRST + NEXT}-`, `bytes=${FIRST + 9 * NEXT}-`, 'bytes=-10'])
    expectNothing(await listen(audioUrl, { range }), audio, 502);
  expectNothing(await listen(audioUrl), audio, 502);
  // An alarm, and one entry, however often a player tries.
  await expectAlarm(id);
});

test('a bit of the header flipped: the beginning is refused', async () => {
  const { id, path, audio } = await keepRecording(world, BYTES);
  await flipBit(path, 20);
  const audioUrl = await world.line.openPlayback(id);
  expectNothing(await listen(audioUrl, { range: 'bytes=0-99' }), audio, 502);
  expectNothing(await listen(audioUrl), audio, 502);
  await expectAlarm(id);
});

/** As a recorder leaves it that crashed: what is played is derived from it. */
const withoutLength = (audio: Buffer): void => {
  audio.writeUInt32LE(0, 4);
  audio.writeUInt32LE(0, 40);
};

test.each<[string, (path: string) => Promise<unknown>, boolean]>([
  ['cut', (path) => truncate(path, 2 * SEGMENT), false],
  ['gone', (path) => rm(path), false],
  ['with a bit flipped in its first segment', (path) => flipBit(path, 500), true],
])('a derivation of an object %s: neither its sound nor its header', async (_name, damage, endVerifies) => {
  const { id, path, audio } = await keepRecording(world, BYTES, withoutLength);
  const audioUrl = await world.line.openPlayback(id);
  expect((await listen(audioUrl)).body.equals(audio)).toBe(false);
  expect((await listen(`${audioUrl}?form=original`)).body.equals(audio)).toBe(true);
  await damage(path);
  for (const range of ['bytes=0-0', 'bytes=0-43', 'bytes=20-99'])
    expectNothing(await listen(audioUrl, { range }), audio, 502);
  expectNothing(await listen(audioUrl), audio, 502);
  expectNothing(await listen(`${audioUrl}?form=original`), audio, 502);
  // What lies in another segment verifies by itself, of an original as well (docs/file-format.md §7).
  const suffix = await listen(audioUrl, { range: 'bytes=-10' });
  expect(suffix.status).toBe(endVerifies ? 206 : 502);
  await expectAlarm(id);
});

test.each([
  ['beyond the original', '{"start": 44, "bytes": 99999999, "samples": 49999999}'],
  ['of blocks of nothing', '{"blockBytes": 0}'],
  ['of parts', '{"start": 0.5}'],
  ['below nothing', '{"start": -44}'],
  ['more than there are', '{"samples": 4000000}'],
  ['of words', '{"bytes": "all"}'],
])(
  'a place of the sound %s, written into the database: the original is served as it is',
  async (_name, change) => {
    const { id, audio } = await keepRecording(world, 5_000, withoutLength);
    await asSuperuser('UPDATE recording SET sound_place = sound_place || $2::jsonb WHERE id = $1', [
      id,
      change,
    ]);
    expect((await listen(await world.line.openPlayback(id))).body.equals(audio)).toBe(true);
  },
);

const swapSegments = async (path: string, one: number): Promise<void> => {
  const bytes = await readFile(path);
  const [at, middle, end] = [one * SEGMENT, (one + 1) * SEGMENT, (one + 2) * SEGMENT];
  const parts = [
    bytes.subarray(0, at),
    bytes.subarray(middle, end),
    bytes.subarray(at, middle),
    bytes.subarray(end),
  ];
  await writeFile(path, Buffer.concat(parts));
};

test.each<[string, (path: string) => Promise<void>]>([
  ['G-7 a bit flipped', (path) => flipBit(path, 10 * SEGMENT + 500)],
  ['two segments swapped', (path) => swapSegments(path, 10)],
])(
  '%s in the second half: pieces that touch it are refused whole, and the answer to the whole is cut',
  async (_name, damage) => {
    const { id, path, audio } = await keepRecording(world, BYTES);
    await damage(path);
    const audioUrl = await world.line.openPlayback(id);
    const before = await listen(audioUrl, { range: 'bytes=0-199999' });
    expect(before.status).toBe(206);
    expect(before.body.equals(audio.subarray(0, 200_000))).toBe(true);
    const at = FIRST + 9 * NEXT;
    expectNothing(await listen(audioUrl, { range: `bytes=${at + 400}-${at + 600}` }), audio, 502);
    expectNothing(await listen(audioUrl, { range: `bytes=${at - NEXT}-${at + 600}` }), audio, 502);
    // Headers and what had verified may have left; a player must not take that for the whole.
    await expect(listen(audioUrl)).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    await expectAlarm(id);
  },
);

const asSuperuser = (text: string, values: readonly unknown[] = []): Promise<unknown> =>
  inDatabase(world.folder, (client) => client.query(text, [...values]), 'superuser');

/** One bit of a column of bytes flipped. */
const flipped = (column: string, byte: number): string =>
  `${column} = set_byte(${column}, ${byte}, get_byte(${column}, ${byte}) # 1)`;

/** Values of the neighbour's row. */
const neighbours = (...columns: readonly string[]): string =>
  columns.map((column) => `${column} = (SELECT ${column} FROM recording WHERE id = $2)`).join(', ');

const ENVELOPE = ['plain_bytes', 'sealed_bytes', 'sealed_sha256', 'header', 'key_commitment', 'wrapped_key'];

test.each<[string, string]>([
  ['the wrapped key damaged', flipped('wrapped_key', 40)],
  ['the wrapped key of another format', flipped('wrapped_key', 0)],
  ['the wrapped key cut', 'wrapped_key = substring(wrapped_key FOR 20)'],
  ['the wrapped key exchanged for the neighbour’s', neighbours('wrapped_key')],
  ['key and commitment exchanged for the neighbour’s', neighbours('wrapped_key', 'key_commitment')],
  ['the whole envelope exchanged for the neighbour’s', neighbours(...ENVELOPE)],
  ['the key commitment damaged', flipped('key_commitment', 0)],
  ['the key commitment cut', 'key_commitment = substring(key_commitment FOR 16)'],
  ['the salt in the header changed', flipped('header', 20)],
  ['the nonce prefix in the header changed', flipped('header', 39)],
  ['the header cut', 'header = substring(header FOR 39)'],
  ['the header too long', `header = header || '\\x00'::bytea`],
  ['the sealed length wrong', 'sealed_bytes = sealed_bytes + 1'],
  ['the length wrong', 'plain_bytes = plain_bytes - 1'],
  ['both lengths wrong, in agreement', 'plain_bytes = plain_bytes - 10, sealed_bytes = sealed_bytes - 10'],
  ['said to be empty', 'plain_bytes = 0, sealed_bytes = 56'],
  ['a length beyond reckoning', 'sealed_bytes = 9223372036854775807'],
  ['the digest cut', 'sealed_sha256 = substring(sealed_sha256 FOR 31)'],
  ['another generation', 'generation = gen_random_uuid()'],
  ['a key version that never was', 'wrap_version = 7'],
  ['a key version that cannot be', 'wrap_version = -1'],
  ['other key material', `wrap_key_id = repeat('0', length(wrap_key_id))`],
  ['another key provider', `wrap_provider = 'other'`],
])('G-7 a row with %s: not a byte is played', async (_name, change) => {
  const { id, audio } = await keepRecording(world, BYTES);
  const audioUrl = await world.line.openPlayback(id);
  await asSuperuser(`UPDATE recording SET ${change} WHERE id = $1 AND ($2::uuid IS NOT NULL)`, [
    id,
    sound.id,
  ]);
  const asked = [{ range: 'bytes=0-99' }, { range: `bytes=${FIRST + NEXT}-` }, {}];
  // At the same time, too, it is one finding; and so it is under a permission that is given afterwards.
  const replies = await Promise.all(asked.map((headers) => listen(audioUrl, headers)));
  const later = await listen(await world.line.openPlayback(id));
  for (const reply of [...replies, later])
    if (reply.status !== 416) {
      expectNothing(reply, audio, 502);
      expectProblem(reply, 502, 'integrity_failure');
    }
  await expectAlarm(id);
});

test('G-7 a row without its envelope: not a byte is played', async () => {
  const { id, audio } = await keepRecording(world, BYTES);
  await asSuperuser('ALTER TABLE recording DROP CONSTRAINT recording_envelope');
  await asSuperuser('UPDATE recording SET wrapped_key = NULL WHERE id = $1', [id]);
  const audioUrl = await world.line.openPlayback(id);
  expectNothing(await listen(audioUrl, { range: 'bytes=0-99' }), audio, 502);
  expectNothing(await listen(audioUrl), audio, 502);
  await expectAlarm(id);
});

test('a permission that the log does not know is none', async () => {
  const { id, audio } = await keepRecording(world, BYTES);
  const audioUrl = await world.line.openPlayback(id);
  const forged = randomUUID();
  await asSuperuser(
    `INSERT INTO playback SELECT $1, recording_id, user_id, session_id, purpose, created_at, expires_at
       FROM playback WHERE recording_id = $2`,
    [forged, id],
  );
  const url = audioUrl.replace(/playbacks\/[^/]+/, `playbacks/${forged}`);
  expectNothing(await listen(url, { range: 'bytes=0-99' }), audio, 502);
  await expectAlarm(id);
});

type Found = {
  recordings: { id: string; damaged: boolean; callId: string | null; callerNumber: string | null }[];
};

const search = async (json: object = { limit: 200 }): Promise<Found['recordings']> => {
  const reply = await world.line.http.post('/v1/recordings/search', {
    token: await world.line.nurse.token(),
    json,
  });
  return jsonOf<Found>(reply, 200).recordings;
};

test.each<[string, string]>([
  ['a bit flipped', flipped('facts_sealed', 30)],
  ['a bit of their key’s version flipped', flipped('facts_sealed', 3)],
  ['another recording’s facts', neighbours('facts_sealed')],
  ['nothing in them', `facts_sealed = '\\x'`],
])('G-7 sealed facts with %s: refused and told; a search shows the rest', async (_name, change) => {
  const call = newCall(2_000);
  const id = await world.line.store(call, { callerNumber: CALLER });
  await asSuperuser(`UPDATE recording SET ${change} WHERE id = $1 AND ($2::uuid IS NOT NULL)`, [
    id,
    sound.id,
  ]);
  const found = await search();
  expect(found.find((one) => one.id === id)).toMatchObject({
    damaged: true,
    callId: null,
    callerNumber: null,
  });
  expect(found.find((one) => one.id === sound.id)).toMatchObject({ damaged: false, callId: sound.callId });
  expect((await search({ callerNumber: CALLER })).some((one) => one.id === id)).toBe(true);
  await expectAlarm(id);
  const viewed = await world.line.http.get(`/v1/recordings/${id}`, { token: await world.line.nurse.token() });
  expectProblem(viewed, 502, 'integrity_failure');
  expect(viewed.text).not.toContain(CALLER_SHOWN);
  expect((await world.line.hear(id)).equals(call.audio)).toBe(true);
  await expectAlarm(id);
});

test('G-7 a sealed waveform with a bit flipped is refused and told; the sound still plays', async () => {
  const { id, audio } = await keepRecording(world, BYTES);
  await asSuperuser(`UPDATE recording SET ${flipped('peaks_sealed', 30)} WHERE id = $1`, [id]);
  const audioUrl = await world.line.openPlayback(id);
  const peaks = await listen(audioUrl.replace('/audio', '/peaks'));
  expectProblem(peaks, 502, 'integrity_failure');
  await expectAlarm(id);
  expect((await listen(audioUrl)).body.equals(audio)).toBe(true);
});
