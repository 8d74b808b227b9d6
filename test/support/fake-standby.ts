import type { EventEmitter } from 'node:events';
import pg from 'pg';

type ReplicationConnection = EventEmitter & { sendCopyFromChunk(chunk: Buffer): void };

/**
 * Streams WAL from a server as a standby does, but says that it has applied it only when a test wants it to. The server
 * reports the time in between as lag.
 */
export class FakeStandby {
  readonly #client: pg.Client;
  readonly #connection: ReplicationConnection;
  #received = 0n;
  #waiting: (() => void) | null = null;

  private constructor(client: pg.Client) {
    this.#client = client;
    this.#connection = (client as unknown as { connection: ReplicationConnection }).connection;
    this.#connection.on('copyData', ({ chunk }: { chunk: Buffer }) => {
      this.#take(chunk);
    });
  }

  /** slot: one that is there, or none */
  static async start(url: string, slot?: string): Promise<FakeStandby> {
    const config = { connectionString: url, application_name: 'standby', replication: 'true' };
    const client = new pg.Client(config);
    client.on('error', () => undefined); // the server ends it when it stops
    await client.connect();
    const { rows } = await client.query<{ xlogpos: string }>('IDENTIFY_SYSTEM');
    const standby = new FakeStandby(client);
    const started = new Promise((resolve) => standby.#connection.once('replicationStart', resolve));
    client
      .query(`START_REPLICATION ${slot === undefined ? '' : `SLOT "${slot}" `}${rows[0]?.xlogpos ?? ''}`)
      .catch(() => undefined); // lasts until close()
    await started;
    return standby;
  }

  /** Resolves when the server has sent something that is not yet applied. */
  async received(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
  }

  apply(): void {
    const reply = Buffer.alloc(34);
    reply.write('r');
    for (const offset of [1, 9, 17]) reply.writeBigInt64BE(this.#received, offset);
    this.#connection.sendCopyFromChunk(reply);
  }

  /** As hot_standby_feedback does: keep what transactions from this one on may see. */
  holdBack(xmin: number): void {
    const feedback = Buffer.alloc(25);
    feedback.write('h');
    feedback.writeUInt32BE(xmin, 9);
    this.#connection.sendCopyFromChunk(feedback);
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  /** w: start, end and time, 8 bytes each, then WAL from start on; all else is of no interest. */
  #take(message: Buffer): void {
    if (message.toString('latin1', 0, 1) !== 'w') return;
    this.#received = message.readBigInt64BE(1) + BigInt(message.length - 25);
    this.#waiting?.();
  }
}
