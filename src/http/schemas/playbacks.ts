import { Type } from 'typebox';
import { purposes } from '../../core/events.ts';
import { Closed, Instant, Nullable, Uuid } from './common.ts';

export const PlaybackBody = Closed({
  purpose: Type.Optional(
    Type.Enum([...purposes], {
      description: 'why it is heard; without one the answer is 403 and the refusal is in the log',
    }),
  ),
  reason: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'a note for the reviewer, kept in the log; names and numbers do not belong here',
    }),
  ),
});

export const OpenedPlaybackSchema = Closed({
  playbackId: Uuid,
  audioUrl: Type.String({ maxLength: 200 }),
  peaksUrl: Nullable(Type.String({ maxLength: 200 })),
  expiresAt: Instant,
  playable: Type.Enum(['original', 'derived', 'none'], {
    description:
      'what audioUrl serves: the original, which browsers play; a WAV file derived from it while it is served; or, of what can be neither played nor derived, the original all the same',
  }),
  mediaType: Type.String({ maxLength: 100, description: 'of what audioUrl serves' }),
  durationMs: Nullable(Type.Integer()),
});

export const AudioQuery = Closed({
  form: Type.Optional(
    Type.Enum(['playable', 'original'], {
      default: 'playable',
      description: 'original: byte for byte as it was delivered, whether browsers play it or not',
    }),
  ),
});

const Millisecond = Type.Integer({ minimum: 0, maximum: 2_147_483_647 });
export const HeardBody = Closed({
  spans: Type.Array(Type.Tuple([Millisecond, Millisecond]), {
    minItems: 1,
    maxItems: 1000,
    description: '[from, to] in milliseconds of the recording, at most a second beyond its end',
  }),
});
