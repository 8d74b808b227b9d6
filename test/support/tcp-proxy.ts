import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';

export type Direction = 'TO_SERVER' | 'TO_CLIENT';

/** A network between us and a server, with its faults. */
export interface TcpProxy {
  readonly port: number;
  /**
   * Asked for each piece that comes: whether it gets lost. Nobody is told, and from then on neither end of that connection
   * hears when the other is closed.
   */
  loses: (direction: Direction, piece: Buffer, connection: number) => boolean;
  /** of each piece, either way; and how many bytes come through in a second */
  slowness: { readonly latencyMs: number; readonly bytesPerSecond: number } | null;
  /** New connections are closed at once. */
  refuses: boolean;
  /** Nothing more comes through on the connections that are there, in either direction, and nobody is told. */
  blackHole(): void;
  /** No more is read from the server on this connection: what it sends fills the buffers, and then it has to wait. */
  holdBack(connection: number): void;
  /** Every connection ends at once. */
  cut(): void;
  close(): Promise<void>;
}

interface Link {
  readonly near: Socket;
  readonly far: Socket;
  /** something was lost: neither end hears of the other any more */
  isDead: boolean;
  isBlack: boolean;
}

export async function tcpProxy(to: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
  const links: Link[] = [];
  const server = createServer((near) => {
    if (proxy.refuses) return void near.destroy();
    const link = { near, far: connect(to.port, to.host), isDead: false, isBlack: false };
    const connection = links.push(link) - 1;
    const loses = (direction: Direction) => (piece: Buffer) =>
      link.isBlack || proxy.loses(direction, piece, connection);
    pass(link, near, link.far, loses('TO_SERVER'));
    pass(link, link.far, near, loses('TO_CLIENT'));
  });
  function pass(link: Link, from: Socket, into: Socket, loses: (piece: Buffer) => boolean): void {
    let last = Promise.resolve();
    from.on('data', (piece: Buffer) => {
      if (loses(piece)) return void (link.isDead = true);
      if (proxy.slowness === null) return void into.write(piece);
      const { latencyMs, bytesPerSecond } = proxy.slowness;
      const ms = latencyMs + (piece.length / bytesPerSecond) * 1_000;
      last = last.then(() => rest(ms)).then(() => void into.write(piece));
    });
    const end = () => link.isDead || into.destroy();
    from.on('error', end); // a cut is what is wanted here
    from.on('close', end);
  }
  const cut = () => {
    for (const { near, far } of links) for (const socket of [near, far]) socket.destroy();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TcpProxy = {
    port: (server.address() as { port: number }).port,
    loses: () => false,
    slowness: null,
    refuses: false,
    blackHole: () => links.forEach((link) => (link.isBlack = link.isDead = true)),
    holdBack: (connection) => {
      const link = links[connection] as Link;
      link.far.pause();
      link.isDead = true;
    },
    cut,
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
