import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './child.ts';
import { withPrivateMounts } from './private-mounts.ts';

/**
 * rtpengine's recording daemon as it is, beside FIFOs in the place of the files that rtpengine's kernel module would show it
 * under /proc: in a mount namespace of its own its /proc is a folder of ours. What it is told of a call is written as
 * rtpengine writes it (daemon/recording.c of 10.5).
 */
export type RtpengineDaemon = {
  /** Sends the streams of one call to their end, 20 ms of sound in a packet each, and ends the call. */
  call(callId: string, streams: readonly Stream[]): Promise<void>;
  close(): Promise<void>;
};
export type Stream = {
  readonly codec: 'PCMU' | 'PCMA';
  /** Encoded, 8000 bytes a second. */
  readonly sound: Buffer;
};

const PAYLOAD_TYPES = { PCMU: 0, PCMA: 8 } as const;
const SILENCE = { PCMU: 0xff, PCMA: 0xd5 } as const;
const FRAME = 160;
/** Half a second of silence behind the sound: what still lies in the pipe at the end of a call is lost. */
const TAIL_FRAMES = 25;

/** One packet of a read, as from the module, needs O_DIRECT (pipe(2)), which Node cannot set on what is open. */
const WRITER = `
use Fcntl; binmode STDIN; $| = 1; my @streams;
for (@ARGV) {
  open(my $fifo, '+<', $_) or die "open: $!";
  fcntl($fifo, F_SETFL, O_RDWR | 040000) or die "O_DIRECT: $!";
  push @streams, $fifo;
}
print "open\\n";
while (read(STDIN, my $head, 3) == 3) {
  my ($n, $length) = unpack('Cn', $head);
  read(STDIN, my $packet, $length) == $length or die 'short';
  syswrite($streams[$n], $packet) == $length or die "write: $!";
  select(undef, undef, undef, 0.003);
}
print "sent\\n";
# The far ends stay open until the daemon has closed its own.
sleep 60;
`;

const section = (name: string, content: string): string =>
  `${name}\n${Buffer.byteLength(content)}:\n${content}\n\n`;

const metadataOf = (callId: string, parent: string, names: readonly string[]): string =>
  [
    section('CALL-ID', callId),
    section('PARENT', parent),
    ...names.map((_, n) => section(`TAG ${n}`, `tag${n}`)),
    section('MEDIA 1 PTIME 20', ''),
    section('MEDIA 1 PAYLOAD TYPE 0', 'PCMU/8000'),
    section('MEDIA 1 PAYLOAD TYPE 8', 'PCMA/8000'),
    ...names.flatMap((name, n) => [
      section(`STREAM ${n} details`, `TAG ${n} MEDIA 1 TAG-MEDIA 1 COMPONENT 1 FLAGS 0`),
      section(`STREAM ${n} interface`, name),
    ]),
  ].join('');

/** IPv4, UDP and RTP (RFC 3550) around a frame, and before it what {@link WRITER} reads. */
const packetOf = (stream: number, type: number, sequence: number, frame: Buffer): Buffer => {
  const [ip, udp, rtp] = [Buffer.alloc(20), Buffer.alloc(8), Buffer.alloc(12)];
  const bytes = 20 + 8 + 12 + frame.length;
  ip[0] = 0x45;
  ip.writeUInt16BE(bytes, 2);
  ip.set([64, 17], 8);
  ip.set([10, 0, 0, 1 + stream, 10, 0, 0, 9], 12);
  udp.writeUInt16BE(30_000 + 2 * stream, 0);
  udp.writeUInt16BE(40_000, 2);
  udp.writeUInt16BE(bytes - 20, 4);
  rtp.set([0x80, type]);
  rtp.writeUInt16BE(sequence, 2);
  rtp.writeUInt32BE(sequence * FRAME, 4);
  rtp.writeUInt32BE(0x1000 + stream, 8);
  const head = Buffer.from([stream, 0, 0]);
  head.writeUInt16BE(bytes, 1);
  return Buffer.concat([head, ip, udp, rtp, frame]);
};

const packetsOf = (streams: readonly Stream[]): Buffer => {
  const frames = Math.max(...streams.map(({ sound }) => Math.ceil(sound.length / FRAME))) + TAIL_FRAMES;
  const packets: Buffer[] = [];
  for (let n = 0; n < frames; n += 1)
    for (const [at, { codec, sound }] of streams.entries()) {
      const frame = Buffer.alloc(FRAME, SILENCE[codec]);
      frame.set(sound.subarray(n * FRAME, (n + 1) * FRAME));
      packets.push(packetOf(at, PAYLOAD_TYPES[codec], n + 1, frame));
    }
  return Buffer.concat(packets);
};

const end = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
};

export const startRtpengineDaemon = async (outputDir: string): Promise<RtpengineDaemon> => {
  const home = mkdtempSync(join(tmpdir(), 'cvr-'));
  const [proc, spool, config] = [join(home, 'proc'), join(home, 'spool'), join(home, 'conf')];
  mkdirSync(proc);
  mkdirSync(spool);
  appendFileSync(config, '[rtpengine-recording]\ntable = 0\n');
  const [program = '', ...args] = withPrivateMounts(
    'mount --bind "$1" /proc; shift; exec rtpengine-recording "$@"',
    ...[proc, `--config-file=${config}`, '--foreground', '--log-stderr', '--log-level=7', '--num-threads=2'],
    ...[`--spool-dir=${spool}`, `--output-dir=${outputDir}`, '--output-storage=file', '--output-format=wav'],
    ...['--output-mixed', '--output-single'],
  );
  const daemon = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  daemon.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-10_000);
  });
  const assertRuns = (): void => {
    if (daemon.exitCode !== null) throw new Error(`rtpengine-recording ended:\n${said}`);
  };
  await until(() => {
    assertRuns();
    return said.includes('poller thread');
  });
  const writers = new Set<ChildProcess>();
  return {
    async call(callId, streams) {
      const parent = `${encodeURIComponent(callId)}-5e1f0badcafe0123`;
      const names = streams.map((_, n) => `tag-${n}-media-1-component-1-RTP-id-${n}`);
      const folder = join(proc, 'rtpengine/0/calls', parent);
      mkdirSync(folder, { recursive: true });
      for (const name of names) execFileSync('mkfifo', [join(folder, name)]);
      const writer = spawn('perl', ['-e', WRITER, ...names.map((name) => join(folder, name))]);
      writers.add(writer);
      let progress = '';
      writer.stdout.setEncoding('utf8').on('data', (text: string) => (progress += text));
      const reaches = (word: string) =>
        until(() => {
          assertRuns();
          if (writer.exitCode !== null) throw new Error(`the writer ended after "${progress}"`);
          return progress.includes(word);
        });
      await reaches('open');
      const meta = join(spool, `${parent}.meta`);
      appendFileSync(meta, metadataOf(callId, parent, names));
      writer.stdin.write(packetsOf(streams));
      writer.stdin.end();
      await reaches('sent');
      rmSync(meta);
    },
    async close() {
      for (const writer of writers) await end(writer, 'SIGKILL');
      await end(daemon, 'SIGTERM');
      await rm(home, { recursive: true, force: true });
    },
  };
};
