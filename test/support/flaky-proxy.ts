import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * What goes wrong on the connections of a proxy: after so many bytes in one direction, counted over all connections since
 * the fault was set, `reset` breaks the connection and `stall` lets nothing through any more, in either direction.
 */
export type ConnectionFault = {
  readonly direction: 'request' | 'response';
  readonly after: number;
  readonly how: 'reset' | 'stall';
};

/** A TCP proxy on loopback in front of a server, for faults that no server shows on request. */
export const createFlakyProxy = async (endpoint: string) => {
  const { hostname, port } = new URL(endpoint);
  const sockets = new Set<Socket>();
  let fault: ConnectionFault | null = null;
  let passed = 0;
  let struck = 0;

  const link = (from: Socket, to: Socket, direction: ConnectionFault['direction']): void => {
    sockets.add(from);
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
    // A broken connection is what this proxy is for.
    from.on('error', () => undefined);
    from.on('data', (chunk: Buffer) => {
      if (fault?.direction !== direction || passed + chunk.length <= fault.after) {
        if (fault?.direction === direction) passed += chunk.length;
        if (!to.write(chunk)) from.pause();
        return;
      }
      struck += 1;
      const part = chunk.subarray(0, fault.after - passed);
      passed = fault.after;
      if (part.length > 0) to.write(part);
      if (fault.how === 'stall') {
        for (const side of [from, to]) side.pause();
        return;
      }
      for (const side of [from, to]) side.resetAndDestroy();
    });
    to.on('drain', () => from.resume());
  };

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    link(client, upstream, 'request');
    link(upstream, client, 'response');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Null: everything passes; connections that were stalled stay so. */
    setFault: (next: ConnectionFault | null): void => {
      fault = next;
      passed = 0;
      struck = 0;
    },
    /** Breaks every connection there is, and takes new ones. */
    cut: (): void => {
      for (const socket of sockets) socket.destroy();
    },
    /** How often the fault has struck since it was set. */
    struck: (): number => struck,
    /** Breaks every connection and takes no more. */
    close: async (): Promise<void> => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
};

export type FlakyProxy = Awaited<ReturnType<typeof createFlakyProxy>>;
