import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A network between us and a server, with its faults. */
export interface TcpProxy {
  readonly port: number;
  /** From now on nothing comes through in either direction, and nobody is told. */
  blackHole(): void;
  /** Every connection ends at once. */
  cut(): void;
  close(): Promise<void>;
}

export async function tcpProxy(to: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let isOpen = true;
  const server = createServer((near) => {
    const far = connect(to.port, to.host);
    pass(near, far);
    pass(far, near);
  });
  function pass(from: Socket, into: Socket): void {
    sockets.add(from);
    from.on('data', (chunk) => isOpen && into.write(chunk));
    from.on('error', () => into.destroy()); // a cut is what is wanted here
    from.on('close', () => {
      sockets.delete(from);
      if (isOpen) into.destroy();
    });
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    blackHole: () => (isOpen = false),
    cut,
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
