/**
 * ADPCM as WAV has it, IMA's (DVI) and Microsoft's: four bits per sample in blocks that begin with the decoder's state, so
 * that each block is decoded alone. Blocks are attacker-controlled: states out of range are brought into it.
 */
const saturate = (value: number): number => (value > 32_767 ? 32_767 : value < -32_768 ? -32_768 : value);

const stepSizes = [
  7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97,
  107, 118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724,
  796, 876, 963, 1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026,
  4428, 4871, 5358, 5894, 6484, 7132, 7845, 8630, 9493, 10_442, 11_487, 12_635, 13_899, 15_289, 16_818,
  18_500, 20_350, 22_385, 24_623, 27_086, 29_794, 32_767,
];
const stepMoves = [-1, -1, -1, -1, 2, 4, 6, 8];
const LAST_STEP = stepSizes.length - 1;

/** By step and code, 16 codes to a step: how the value changes, and the step of the next sample. */
const CODES = 16;
const changes = new Int32Array(stepSizes.length * CODES);
const nextSteps = new Uint8Array(stepSizes.length * CODES);
stepSizes.forEach((size, step) => {
  for (let code = 0; code < CODES; code += 1) {
    const change =
      (size >> 3) + (code & 1 ? size >> 2 : 0) + (code & 2 ? size >> 1 : 0) + (code & 4 ? size : 0);
    changes[step * CODES + code] = code & 8 ? -change : change;
    nextSteps[step * CODES + code] = Math.max(0, Math.min(LAST_STEP, step + stepMoves[code & 7]!));
  }
});

const IMA_HEAD = 4;
/** Samples per channel in a block of so many bytes, the one in its head included. */
export const imaBlockSamples = (blockBytes: number, channels: number): number =>
  Math.floor((blockBytes - IMA_HEAD * channels) / (4 * channels)) * 8 + 1;

/** Decodes one block to interleaved samples of `out` from `at`. Every eight samples the channels take turns. */
export const decodeImaBlock = (block: Buffer, channels: number, out: Int16Array, at: number): void => {
  const groups = (imaBlockSamples(block.length, channels) - 1) / 8;
  for (let channel = 0; channel < channels; channel += 1) {
    let value = block.readInt16LE(channel * IMA_HEAD);
    let step = Math.min(LAST_STEP, block[channel * IMA_HEAD + 2]!);
    let to = at + channel;
    out[to] = value;
    for (let group = 0; group < groups; group += 1) {
      const from = IMA_HEAD * channels + (group * channels + channel) * 4;
      for (let i = 0; i < 8; i += 1) {
        const code = step * CODES + ((block[from + (i >> 1)]! >> (4 * (i & 1))) & 15);
        value = saturate(value + changes[code]!);
        step = nextSteps[code]!;
        to += channels;
        out[to] = value;
      }
    }
  }
};

/** The seven predictors that every reader knows; others a file could bring are written by nobody. */
const predictors = [
  [256, 0],
  [512, -256],
  [0, 0],
  [192, 64],
  [240, 0],
  [460, -208],
  [392, -232],
] as const;
const deltaMoves = [230, 230, 230, 230, 307, 409, 512, 614, 768, 614, 512, 409, 307, 230, 230, 230];
const MIN_DELTA = 16;
const MAX_DELTA = 2 ** 20;

const MS_HEAD = 7;
/** Samples per channel in a block of so many bytes, the two in its head included. */
export const msBlockSamples = (blockBytes: number, channels: number): number =>
  Math.floor(((blockBytes - MS_HEAD * channels) * 2) / channels) + 2;

/** Decodes one block to interleaved samples of `out` from `at`. The channels take turns with every sample. */
export const decodeMsBlock = (block: Buffer, channels: number, out: Int16Array, at: number): void => {
  const words = (n: number, channel: number): number =>
    block.readInt16LE(channels + (n * channels + channel) * 2);
  const states = Array.from({ length: channels }, (_, channel) => ({
    predictor: predictors[Math.min(predictors.length - 1, block[channel]!)]!,
    delta: words(0, channel),
    last: words(1, channel),
    earlier: words(2, channel),
  }));
  states.forEach(({ last, earlier }, channel) => {
    out[at + channel] = earlier;
    out[at + channels + channel] = last;
  });
  const count = (msBlockSamples(block.length, channels) - 2) * channels;
  for (let i = 0; i < count; i += 1) {
    const code = (block[MS_HEAD * channels + (i >> 1)]! >> (i & 1 ? 0 : 4)) & 15;
    const state = states[i % channels]!;
    const [first, second] = state.predictor;
    const guess = (state.last * first + state.earlier * second) >> 8;
    state.earlier = state.last;
    state.last = saturate(guess + (code > 7 ? code - 16 : code) * state.delta);
    state.delta = Math.min(MAX_DELTA, Math.max(MIN_DELTA, (state.delta * deltaMoves[code]!) >> 8));
    out[at + 2 * channels + i] = state.last;
  }
};
