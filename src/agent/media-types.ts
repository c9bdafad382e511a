/** What telephony systems call their files, and how that is said to a vault, which believes the bytes where they say more. */
const types: ReadonlyMap<string, string> = new Map([
  ['wav', 'audio/wav'],
  ['wav49', 'audio/wav'],
  ['mp3', 'audio/mpeg'],
  ['ogg', 'audio/ogg'],
  ['oga', 'audio/ogg'],
  ['opus', 'audio/ogg'],
  ['flac', 'audio/flac'],
  ['m4a', 'audio/mp4'],
  ['mp4', 'audio/mp4'],
  ['aac', 'audio/aac'],
  ['webm', 'audio/webm'],
  ['mka', 'audio/matroska'],
  ['amr', 'audio/amr'],
  ['awb', 'audio/amr-wb'],
  ['au', 'audio/x-au'],
  ['gsm', 'audio/gsm'],
  ['g722', 'audio/g722'],
  ['g729', 'application/octet-stream'],
  ['raw', 'audio/x-slin'],
  ['sln', 'audio/x-slin'],
  ['slin', 'audio/x-slin'],
  ...[12, 16, 24, 32, 44, 48, 96, 192].map((thousands): [string, string] => [
    `sln${thousands}`,
    `audio/x-slin;rate=${thousands === 44 ? 44_100 : thousands * 1_000}`,
  ]),
  ['ulaw', 'audio/basic'],
  ['ul', 'audio/basic'],
  ['mu', 'audio/basic'],
  ['pcm', 'audio/basic'],
  ['alaw', 'audio/x-alaw'],
  ['al', 'audio/x-alaw'],
]);

export const audioEndings: readonly string[] = [...types.keys()];

/** The media type that a name's ending promises; null when it promises no audio. */
export const mediaTypeOf = (name: string): string | null =>
  types.get(/\.([A-Za-z0-9]{1,10})$/.exec(name)?.[1]?.toLowerCase() ?? '') ?? null;
