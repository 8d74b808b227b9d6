import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { TlsMode } from '../domain/words.ts';
import { clientConfig, refuseWeakPasswordChallenges } from './client-config.ts';
import { CopyOut, type OnData } from './copy-out.ts';
import { piecesOf } from './pieces.ts';
import { type BoundStatement, type Sql, toQuery } from './sql.ts';
import { targetFailure } from './sqlstate.ts';

/** Where a target is and how to log in. Structured fields only: a URL could smuggle in a host, a file or a setting. */
export interface TargetAddress {
  readonly host: string;
  /** The address that the host name was resolved to and checked against the allow-list; what is really connected to. */
  readonly ip: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Asked for at connect only. */
  readonly password: () => Promise<string>;
  readonly tls: TlsMode;
  /** PEM text of the certificate authority. */
  readonly ca?: string;
}

export interface SessionSettings {
  /** Shown in pg_stat_activity, so that a DBA finds us; declutter/... */
  readonly applicationName: string;
  readonly readOnly: boolean;
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  /** Must be longer than the bound on writing a segment. */
  readonly idleInTransactionTimeoutMs: number;
  readonly transactionTimeoutMs: number;
}

export const READ_SETTINGS: Omit<SessionSettings, 'applicationName'> = {
  readOnly: true,
  lockTimeoutMs: 500,
  statementTimeoutMs: 30_000,
  idleInTransactionTimeoutMs: 30_000,
  transactionTimeoutMs: 120_000,
};

export const BATCH_SETTINGS: Omit<SessionSettings, 'applicationName'> = {
  readOnly: false,
  lockTimeoutMs: 2_000,
  statementTimeoutMs: 25_000,
  idleInTransactionTimeoutMs: 30_000,
  transactionTimeoutMs: 120_000,
};

/** The server ends a statement at its time-out; when no word of it has come so much later, nobody is there. */
const SILENCE_MS = 4_000;

/** As the kernel would call it. */
const SILENT = 'ETIMEDOUT';

const LONG_READ_MS = 3_600_000;

/** How values are written as text, so that what COPY and ::text give can be read back exactly (traps: DateStyle, floats). */
const TEXT_SETTINGS = [
  `SET LOCAL "DateStyle" = 'ISO, YMD'`,
  `SET LOCAL "IntervalStyle" = 'postgres'`,
  `SET LOCAL extra_float_digits = 3`,
  `SET LOCAL bytea_output = 'hex'`,
  `SET LOCAL "TimeZone" = 'UTC'`,
  `SET LOCAL lc_monetary = 'C'`,
  `SET LOCAL xmloption = 'content'`,
  `SET LOCAL client_encoding = 'UTF8'`,
].join('; ');

export interface Backend {
  readonly pid: number;
  /** backend_start as text with microseconds: with the pid it names one backend for ever. */
  readonly startedAt: string;
}

/**
 * One connection to a target. All statements run in transactions that set their own limits (SET LOCAL: nothing leaks
 * through a pooler); bare() is for the few that PostgreSQL forbids there.
 */
export class Session {
  readonly serverVersion: number;
  readonly backend: Backend;
  /** For programs that connect by themselves. */
  readonly address: TargetAddress;
  readonly #client: pg.Client;
  readonly #settings: SessionSettings;
  #lost: Error | null = null;
  /** how long an answer may take; null: as long as it likes */
  #patienceMs: number | null;

  private constructor(
    client: pg.Client,
    address: TargetAddress,
    settings: SessionSettings,
    serverVersion: number,
    backend: Backend,
  ) {
    this.#client = client;
    this.address = address;
    this.#settings = settings;
    this.#patienceMs = settings.statementTimeoutMs + SILENCE_MS;
    this.serverVersion = serverVersion;
    this.backend = backend;
  }

  /** @throws DeclutterError TARGET_UNREACHABLE */
  static async open(address: TargetAddress, settings: SessionSettings): Promise<Session> {
    const client = new pg.Client(clientConfig(address, settings));
    refuseWeakPasswordChallenges(client);
    let session: Session | null = null;
    client.on('error', (error) => session?.markLost(error));
    try {
      await client.connect();
      const { rows } = await client.query<{ version: string; pid: number; started: string }>(
        `SELECT pg_catalog.current_setting('server_version_num') AS version, pid, backend_start::pg_catalog.text AS started
           FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()`,
      );
      const row = rows[0] as { version: string; pid: number; started: string };
      const backend = { pid: row.pid, startedAt: row.started };
      session = new Session(client, address, settings, Number(row.version), backend);
      return session;
    } catch (error) {
      await client.end().catch(() => undefined); // the connection is already broken; the first error tells why
      throw targetFailure(error, 'connect');
    }
  }

  /** Runs work in one transaction; rolls back when it throws. */
  async transaction<T>(work: () => Promise<T>): Promise<T> {
    await this.script(this.begin());
    try {
      const result = await work();
      await this.script('COMMIT');
      return result;
    } catch (error) {
      await this.rollback();
      throw error;
    }
  }

  /** The text that opens a transaction with this session's limits, for callers that send more in the same message. */
  begin(): string {
    const s = this.#settings;
    this.#patienceMs = s.statementTimeoutMs + SILENCE_MS;
    return [
      `BEGIN ISOLATION LEVEL READ COMMITTED${s.readOnly ? ' READ ONLY' : ''}`,
      `SET LOCAL lock_timeout = ${s.lockTimeoutMs}`,
      `SET LOCAL statement_timeout = ${s.statementTimeoutMs}`,
      `SET LOCAL idle_in_transaction_session_timeout = ${s.idleInTransactionTimeoutMs}`,
      ...(this.serverVersion >= 170_000 ? [`SET LOCAL transaction_timeout = ${s.transactionTimeoutMs}`] : []),
      `SET LOCAL row_security = off`,
      TEXT_SETTINGS,
    ].join('; ');
  }

  /** For reading a whole table or archive, within a transaction: it may take long and holds no lock that anybody waits for. */
  async longRead(): Promise<void> {
    const noBound = this.serverVersion >= 170_000 ? '; SET LOCAL transaction_timeout = 0' : '';
    await this.script(`SET LOCAL statement_timeout = ${LONG_READ_MS}${noBound}`);
    this.#patienceMs = LONG_READ_MS + SILENCE_MS;
  }

  /** Ends the transaction without effect. Safe on a lost connection: the server has rolled back by itself. */
  async rollback(): Promise<void> {
    if (this.#lost) return;
    try {
      await this.#client.query('ROLLBACK');
    } catch (error) {
      this.markLost(error as Error);
    }
  }

  /** One statement; rows as text and numbers as pg gives them. User rows never pass here, only figures and names. */
  async query<Row extends object>(statement: Sql): Promise<Row[]> {
    return (await this.run<Row>(statement)).rows;
  }

  async one<Row extends object>(statement: Sql): Promise<Row> {
    const rows = await this.query<Row>(statement);
    if (rows.length !== 1) throw new TypeError(`Expected one row, got ${rows.length}.`);
    return rows[0] as Row;
  }

  /** One statement; returns how many rows it touched. */
  async execute(statement: Sql): Promise<number> {
    return (await this.run(statement)).rowCount ?? 0;
  }

  /** Several statements in one message (and one round trip). Only text of our own making; see sql.toText. */
  async script(text: string): Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }[]> {
    const result: unknown = await this.guard(() => this.#client.query(text));
    return (Array.isArray(result) ? result : [result]) as {
      rows: Record<string, unknown>[];
      rowCount: number | null;
    }[];
  }

  /** A statement outside a transaction, with session-wide limits: REINDEX CONCURRENTLY, VACUUM. statementTimeoutMs 0: none. */
  async bare(
    statement: string,
    limits: { lockTimeoutMs: number; statementTimeoutMs: number },
  ): Promise<void> {
    await this.script(`SET lock_timeout = ${limits.lockTimeoutMs}`);
    await this.script(`SET statement_timeout = ${limits.statementTimeoutMs}`);
    this.#patienceMs = limits.statementTimeoutMs === 0 ? null : limits.statementTimeoutMs + SILENCE_MS;
    await this.script(statement);
  }

  /** COPY ... TO STDOUT within a transaction; hands on its bytes as they come and answers with the number of rows. */
  async copyOut(statement: BoundStatement, onData: OnData): Promise<number> {
    return this.guard(() => this.#client.query(new CopyOut(statement.text, onData)).done);
  }

  /** COPY ... FROM STDIN of these rows, within a transaction. */
  async copyIn(text: string, rows: Buffer): Promise<void> {
    await this.guard(() => pipeline(Readable.from(piecesOf(rows)), this.#client.query(copyFrom(text))));
  }

  /** The pid that was announced at log-in. A connection pooler announces another than the one of the backend that serves. */
  get announcedPid(): number | null {
    return (this.#client as unknown as { processID: number | null }).processID;
  }

  get isLost(): boolean {
    return this.#lost !== null;
  }

  async close(): Promise<void> {
    if (this.#lost) return this.destroy();
    await this.#client.end().catch(() => undefined); // nothing is open any more; the server cleans up by itself
  }

  /** Drops the connection without a word; the server rolls back what was open. */
  destroy(): void {
    this.#lost ??= new Error('Connection closed by us');
    (this.#client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }

  private async run<Row extends object>(statement: Sql): Promise<pg.QueryResult<Row>> {
    const { text, values } = toQuery(statement);
    return this.guard(() => this.#client.query<Row>(text, values));
  }

  private async guard<T>(work: () => Promise<T>): Promise<T> {
    if (this.#lost) throw targetFailure(this.#lost, 'statement');
    const patience =
      this.#patienceMs === null ? undefined : setTimeout(() => this.#giveUp(), this.#patienceMs);
    try {
      return await work();
    } catch (error) {
      throw targetFailure(this.#lost ?? error, 'statement');
    } finally {
      clearTimeout(patience);
    }
  }

  /** A connection whose other end has gone without a word (no RST) would be waited for until the kernel gives up: a quarter of an hour. */
  #giveUp(): void {
    this.#lost ??= Object.assign(new Error('No answer came in time'), { code: SILENT });
    this.destroy();
  }

  private markLost(error: Error): void {
    this.#lost ??= error;
  }
}
