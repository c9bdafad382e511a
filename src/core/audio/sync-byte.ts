/**
 * The first 0xFF before `reach` that `accept` takes, or null. Frames of MP3 and FLAC begin with that byte. It is rare in
 * most audio, so it is sought in native code; where it comes in rows, which is what would make that slow, it is not.
 */
export const seekSyncByte = (
  window: Buffer,
  reach: number,
  accept: (at: number) => boolean,
): number | null => {
  let at = window.indexOf(0xff);
  while (at !== -1 && at < reach) {
    if (accept(at)) return at;
    at = window[at + 1] === 0xff ? at + 1 : window.indexOf(0xff, at + 1);
  }
  return null;
};
