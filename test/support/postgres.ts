import { randomBytes } from 'node:crypto';
import { it } from '@jest/globals';
import pg from 'pg';
import type { Store } from '../../src/store/open-store.ts';
import {
  READ_SETTINGS,
  Session,
  type SessionSettings,
  type TargetAddress,
} from '../../src/target/session.ts';
import { type Installation, missing, NEWEST, type Version, VERSIONS } from './installations.ts';
import { type Server, type ServerAddress, startServer } from './server.ts';

export interface TestDatabase {
  readonly name: string;
  readonly version: Version;
  readonly address: TargetAddress;
  /** For tests that connect by themselves. */
  readonly url: string;
  /** As superuser, by the simple protocol: several statements are welcome. The rows of the last one. */
  run(sql: string): Promise<Record<string, unknown>[]>;
  /** A session as the product opens it, read-only unless told otherwise; closed by drop(). */
  session(settings?: Partial<SessionSettings>): Promise<Session>;
  /** Removes the database. Fails when the code under test has left a connection open. */
  drop(): Promise<void>;
}

/** The majors that tests run on. Where CI is set, each one must be there. */
export function availableVersions(): Version[] {
  return VERSIONS.filter((version) => available(version));
}

/** For a test of a database that this project did not make: it runs where Debian's PostgreSQL 15 is installed. */
export const itOnDebian = available('debian-15') ? it : it.skip;

function available(installation: Installation): boolean {
  const reason = missing(installation);
  if (reason === null) return true;
  const message = `PostgreSQL ${installation} is missing: ${reason}.`;
  if (process.env['CI'] === 'true') throw new Error(`${message} CI allows no skipped test.`);
  process.stderr.write(`${message} Its tests are skipped.\n`);
  return false;
}

/** A fresh database on the shared server of that major. */
export async function testDatabase(version: Version = NEWEST): Promise<TestDatabase> {
  return databaseOn(await serverOf(version), version);
}

/** A fresh database on Debian's PostgreSQL 15; see itOnDebian. */
export async function debianDatabase(): Promise<TestDatabase> {
  return databaseOn(await serverOf('debian-15'), 15);
}

/** A server of the test's own, for what would disturb others: standbys, settings, a crash. */
export async function ownServer(
  settings: Readonly<Record<string, string>> = {},
  installation: Installation = NEWEST,
): Promise<OwnServer> {
  const server = await startServer(installation, settings);
  return {
    ...server,
    database: () => databaseOn(server.address, installation === 'debian-15' ? 15 : installation),
  };
}

export interface OwnServer extends Pick<Server, 'restart' | 'stop'> {
  database(): Promise<TestDatabase>;
}

/** A fresh, migrated control store. Prisma is loaded here, for the tests that need it: it takes a second. */
export async function testStore(): Promise<{ store: Store; url: string; close(): Promise<void> }> {
  const { openStore } = await import('../../src/store/open-store.ts');
  const server = await serverOf(NEWEST);
  await makeStoreTemplate(server);
  const name = uniqueName('store');
  await onServer(server, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${STORE_TEMPLATE}`));
  const url = urlOf(server, name);
  const store = await openStore(url);
  const close = async () => {
    await store.close();
    await dropChecked(server, name);
  };
  return { store, url, close };
}

const STORE_TEMPLATE = 'store_template';

/** Once a test run, whichever process comes first: the others wait at the lock. */
async function makeStoreTemplate(server: ServerAddress): Promise<void> {
  const { migrate } = await import('../../src/store/migrate.ts');
  await onServer(server, async (client) => {
    await client.query('SELECT pg_advisory_lock(1)');
    const { rowCount } = await client.query(`SELECT FROM pg_database WHERE datname = '${STORE_TEMPLATE}'`);
    if (rowCount !== 0) return;
    await client.query(`CREATE DATABASE ${STORE_TEMPLATE}_draft`);
    await migrate(urlOf(server, `${STORE_TEMPLATE}_draft`));
    await client.query(`ALTER DATABASE ${STORE_TEMPLATE}_draft RENAME TO ${STORE_TEMPLATE}`);
  });
}

async function databaseOn(server: ServerAddress, version: Version): Promise<TestDatabase> {
  const name = uniqueName('t');
  await onServer(server, (client) => client.query(`CREATE DATABASE ${name}`));
  const url = urlOf(server, name);
  const address = addressOf(server, name);
  const sessions: Session[] = [];
  let client: pg.Client | null = null;
  const connected = async () => {
    if (client) return client;
    const fresh = new pg.Client({ connectionString: url, application_name: 'test' });
    fresh.on('error', () => (client = null)); // the server was restarted, say; the next statement connects anew
    await fresh.connect();
    return (client = fresh);
  };
  await connected();
  // One after the other: a client that is given another statement meanwhile complains.
  let last: Promise<unknown> = Promise.resolve();
  const run: TestDatabase['run'] = (sql) => {
    const rows = last.then(async () => lastRows(await connected(), sql));
    last = rows.catch(() => undefined);
    return rows;
  };
  return {
    name,
    version,
    address,
    url,
    run,
    session: async (settings = {}) => {
      const session = await Session.open(address, {
        applicationName: 'declutter/test',
        ...READ_SETTINGS,
        ...settings,
      });
      sessions.push(session);
      return session;
    },
    drop: async () => {
      await Promise.all(sessions.map((session) => session.close()));
      await client?.end();
      await dropChecked(server, name);
    },
  };
}

async function lastRows(client: pg.Client, sql: string): Promise<Record<string, unknown>[]> {
  const result: unknown = await client.query(sql);
  const last = (Array.isArray(result) ? result.at(-1) : result) as pg.QueryResult<Record<string, unknown>>;
  return last.rows;
}

/** A backend needs a moment to notice that its client has left; what is still there after that was forgotten. */
async function dropChecked(server: ServerAddress, name: string): Promise<void> {
  await onServer(server, async (client) => {
    let left = await connectionsTo(client, name);
    for (const deadline = Date.now() + 3_000; left.length > 0 && Date.now() < deadline;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      left = await connectionsTo(client, name);
    }
    await client.query(`DROP DATABASE ${name} WITH (FORCE)`);
    if (left.length > 0) throw new Error(`Connections were left open: ${left.join('; ')}`);
  });
}

/** Who is connected to a database, one line each: for tests that assert that nobody is. */
async function connectionsTo(client: pg.Client, database: string): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `SELECT concat_ws(' ', application_name, state, left(query, 200)) AS line FROM pg_stat_activity
      WHERE datname = '${database}' AND backend_type = 'client backend' ORDER BY pid`,
  );
  return rows.map((row) => row.line);
}

async function serverOf(installation: Installation): Promise<ServerAddress> {
  const response = await fetch(`${process.env['DECLUTTER_TEST_SERVERS'] ?? ''}/${installation}`);
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as ServerAddress;
}

async function onServer<T>(server: ServerAddress, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: urlOf(server, 'postgres'), application_name: 'test' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const uniqueName = (prefix: string) => `${prefix}_${randomBytes(6).toString('hex')}`;

const urlOf = (server: ServerAddress, name: string) =>
  `postgres://${server.user}:${server.password}@${server.host}:${server.port}/${name}`;

const addressOf = (server: ServerAddress, name: string): TargetAddress => ({
  host: server.host,
  ip: server.host,
  port: server.port,
  database: name,
  user: server.user,
  password: () => Promise.resolve(server.password),
  tls: 'DISABLE',
});
