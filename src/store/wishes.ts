import pg from 'pg';
import { systemClock } from '../clock.ts';

const CHANNEL = 'declutter_run';
const RECONNECT_MS = 1_000;

/**
 * Hears at once when somebody asks something of a run. It may miss a call, while its connection is away: who has to know looks
 * from time to time as well.
 */
export class Wishes {
  readonly #url: string;
  readonly #heard = new Map<string, () => void>();
  readonly #closed = new AbortController();
  #connected: Promise<pg.Client | null> | null = null;

  constructor(url: string) {
    this.#url = url;
  }

  /** Calls back for each wish, in this process; once the listening is ended it does not any more. */
  listen(runId: string, heard: () => void): () => void {
    this.#heard.set(runId, heard);
    this.#connected ??= this.#connect();
    return () => this.#heard.delete(runId);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    const client = await this.#connected;
    await client?.end().catch(() => undefined); // it is gone already
  }

  async #connect(): Promise<pg.Client | null> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: 'declutter/wishes',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    });
    client.on('notification', ({ payload }) => this.#heard.get(payload ?? '')?.());
    client.on('error', () => undefined); // its end is told as well
    client.on('end', () => void this.#connectAgain());
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      for (const heard of this.#heard.values()) heard();
      return client;
    } catch {
      await client.end().catch(() => undefined);
      return null; // what it would have told is looked for from time to time anyway
    }
  }

  async #connectAgain(): Promise<void> {
    await systemClock.sleep(RECONNECT_MS, this.#closed.signal);
    if (!this.#closed.signal.aborted) this.#connected = this.#connect();
  }
}
