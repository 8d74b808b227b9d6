import { totalmem } from 'node:os';
import pg from 'pg';
import { missing } from '../test/support/installations.ts';
import { startServer } from '../test/support/server.ts';

/**
 * As a production server would be: what is committed is on the disk. Autovacuum stays off, so that it hits no variant by chance.
 * Segments of the log are used again, as on a server that has run for long: while one is made, whoever commits waits.
 */
const DURABLE = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  autovacuum: 'off',
  shared_buffers: `${Math.round(totalmem() / 2 ** 22)}MB`, // a quarter of the memory, as is usual
  min_wal_size: '8GB',
  max_wal_size: '16GB',
  checkpoint_timeout: '1h',
};

/** A PostgreSQL server of the benchmark's own. */
export interface BenchServer {
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  urlOf(database: string): string;
  connect(database: string): Promise<pg.Client>;
  /** A copy of a database, file by file, written to the disk: every variant starts from the same pages. */
  copy(from: string, to: string): Promise<void>;
  drop(database: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startBenchServer(): Promise<BenchServer> {
  const started = await startServer(missing('debian-15') === null ? 'debian-15' : 18, DURABLE);
  const { host, port, user, password } = started.address;
  const connect = async (database: string) => {
    const client = new pg.Client({ host, port, user, password, database, application_name: 'bench' });
    client.on('error', () => undefined); // the statement under way fails too, and says why
    await client.connect();
    return client;
  };
  const admin = await connect('postgres');
  const { rows } = await admin.query<{ server_version: string }>('SHOW server_version');
  const drop = (database: string) =>
    admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`).then(() => undefined);
  return {
    version: /^[\d.]+/.exec(rows[0]?.server_version ?? '')?.[0] ?? '?',
    host,
    port,
    user,
    password,
    urlOf: (database) => `postgres://${user}:${password}@${host}:${port}/${database}`,
    connect,
    async copy(from, to) {
      await drop(to);
      const strategy = Number(rows[0]?.server_version.split('.')[0]) >= 15 ? ' STRATEGY FILE_COPY' : '';
      await admin.query(`CREATE DATABASE ${to} TEMPLATE ${from}${strategy}`);
      await admin.query('CHECKPOINT');
    },
    drop,
    async stop() {
      await admin.end();
      await started.stop();
    },
  };
}
