import type { WebSocket } from 'ws';
import { AppError } from '../core/errors.ts';

/** How long is waited for whoever sends a call, in milliseconds. */
export type Patience = {
  /** For the first frame. */
  readonly openingMs: number;
  /** Between two looks whether he is still there and still known; whoever answers no ping until the next is gone. */
  readonly lookMs: number;
  /** A call may be paused so long; in each such stretch it must bring {@link QUIET_BYTES}. */
  readonly quietMs: number;
};

export const PATIENCE: Patience = { openingMs: 20_000, lookMs: 30_000, quietMs: 15 * 60_000 };
const QUIET_BYTES = 8 * 1024;
const MAX_OPENING_BYTES = 16 * 1024;
/** What a frame of a single byte takes, roughly. */
const FRAME_COST = 128;
/** What may wait for our own storage; beyond it the connection is not read. */
const HIGH_WATER = 128 * 1024;

export const closeCodes = {
  done: 1000,
  goingAway: 1001,
  policy: 1008,
  tooBig: 1009,
  fault: 1011,
} as const;

/** Ended by a close frame that says all is well, or in any other way: what arrived is then less than the call. */
type End = { readonly whole: boolean; readonly code: number };

export type LiveCall = {
  /** The first frame, which is text. Rejects with `not_acceptable_metadata`, `request_timeout` or `client_closed`. */
  opening(): Promise<Buffer>;
  /** Binary frames, together as they came, until the call ends in any way; for one reader. Never throws. */
  readonly sound: AsyncGenerator<Buffer, void>;
  /** Whether it ended otherwise than by its sender's word; known when the sound has ended. */
  isCut(): boolean;
  /** Ends it here and now, as cut. */
  end(code: number): void;
  /** Closes the connection: with `code`, or with what its end asks for. `reason` is a word of ours. */
  close(reason: string, code?: number): void;
};

type Deps = {
  readonly maxBytes: number;
  /** Asked now and then; a rejection changes nothing. */
  readonly isStillKnown: () => Promise<boolean>;
  readonly patience?: Patience;
};

/** Ends the call of a sender who is gone, silent for too long, or not known any more. */
const watchOver = (
  socket: WebSocket,
  end: (code: number) => void,
  { isStillKnown, patience = PATIENCE }: Deps,
) => {
  let heard = true;
  let brought = 0;
  let quietMs = 0;
  const hear = (): void => {
    heard = true;
  };
  socket.on('message', hear).on('pong', hear).on('ping', hear);
  const look = (): void => {
    void isStillKnown().then(
      (known) => known || end(closeCodes.policy),
      () => undefined,
    );
    // Not read because our storage is slow: no silence of his.
    if (socket.isPaused) return;
    if (!heard) {
      end(closeCodes.goingAway);
      socket.terminate();
      return;
    }
    heard = false;
    socket.ping();
    quietMs += patience.lookMs;
    if (quietMs < patience.quietMs) return;
    if (brought < QUIET_BYTES) end(closeCodes.policy);
    quietMs = 0;
    brought = 0;
  };
  const timer = setInterval(look, patience.lookMs);
  return {
    brought(bytes: number): void {
      brought += bytes;
    },
    stop: () => clearInterval(timer),
  };
};

/** Frames that wait for our storage, and no more of them in all than a recording may have. */
const createWaiting = (maxBytes: number) => {
  let chunks: Buffer[] = [];
  let bytes = 0;
  let taken = 0;
  return {
    /** Bytes of memory that are held now. */
    put(chunk: Buffer): number {
      if (chunk.length > 0) chunks.push(chunk);
      bytes += chunk.length + FRAME_COST;
      return bytes;
    },
    take(): Buffer {
      // One alone is not copied: its memory is given back when it is sealed.
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      const some = all.length > maxBytes - taken ? all.subarray(0, maxBytes - taken) : all;
      chunks = [];
      bytes = 0;
      taken += some.length;
      return some;
    },
    isFull: () => taken === maxBytes,
  };
};

/**
 * A call that is recorded while it lasts, on an open connection. Everything that arrives is attacker-controlled; single
 * frames and their fragments are bounded where the connection was accepted (websocket.ts). No more than {@link HIGH_WATER}
 * and a frame wait in memory.
 */
export const createLiveCall = (socket: WebSocket, deps: Deps): LiveCall => {
  const { maxBytes, patience = PATIENCE } = deps;
  const waiting = createWaiting(maxBytes);
  let first: { readonly data: Buffer; readonly isText: boolean } | null = null;
  let ended: End | null = null;
  let wake = (): void => undefined;
  const change = (): Promise<void> => new Promise((resolve) => (wake = resolve));

  const finish = (end: End): void => {
    ended ??= end;
    watch.stop();
    // Nothing of what follows is kept, but the sender's answer to our close has to be read.
    if (socket.isPaused) socket.resume();
    wake();
  };
  const cut = (code: number): void => finish({ whole: false, code });
  const watch = watchOver(socket, cut, deps);

  // ws answers a close by itself, at once. Here the answer means that the call is stored, so whoever has stored it gives it.
  const answer = socket.close.bind(socket);
  socket.close = (code = closeCodes.done) => {
    if (code === closeCodes.done) finish({ whole: true, code });
    else cut(code);
  };
  socket.on('close', () => cut(closeCodes.goingAway));
  // What is wrong with a frame is said by the code with which ws closes.
  socket.on('error', () => undefined);
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    if (ended !== null) return;
    // Keys that were pressed, mostly; they may be of an identity number, and are nothing to hear.
    if (!isBinary && first !== null) return;
    if (first === null) first = { data, isText: !isBinary };
    else {
      watch.brought(data.length);
      if (waiting.put(data) > HIGH_WATER) socket.pause();
    }
    wake();
  });

  async function* sound(): AsyncGenerator<Buffer, void> {
    for (;;) {
      const chunk = waiting.take();
      if (waiting.isFull()) cut(closeCodes.tooBig);
      if (socket.isPaused) socket.resume();
      if (chunk.length > 0) yield chunk;
      else if (ended !== null) return;
      else await change();
    }
  }

  return {
    sound: sound(),
    async opening() {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        wake();
      }, patience.openingMs);
      while (first === null && ended === null && !late) await change();
      clearTimeout(timer);
      if (first === null)
        throw late
          ? new AppError('request_timeout', 'The first frame took too long to arrive.')
          : new AppError('client_closed', 'The connection ended before its first frame.');
      if (!first.isText || first.data.length > MAX_OPENING_BYTES)
        throw new AppError('not_acceptable_metadata', 'The first frame must be text of at most 16 KiB.');
      return first.data;
    },
    isCut: () => ended?.whole !== true,
    end: cut,
    close(reason, code) {
      watch.stop();
      answer(code ?? ended?.code ?? closeCodes.done, reason);
    },
  };
};
