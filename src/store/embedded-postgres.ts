import { createHmac } from 'node:crypto';
import pg from 'pg';
import type { Log } from '../log.ts';
import { prepareCluster, SUPERUSER } from './embedded-cluster.ts';
import { join, superuserClient } from './embedded-member.ts';
import { secretOf } from './secret-file.ts';

/** How to log in to a database of the embedded server; the user owns the database, and is no superuser. */
export interface EmbeddedDatabase {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string;
}

/** A PostgreSQL server of this project's own, shared by all processes on one data folder. */
export interface Embedded {
  /** Of the control store. */
  readonly url: string;
  /** Of the database postgres, for the project's own scripts. */
  readonly superuserUrl: string;
  readonly host: '127.0.0.1';
  readonly port: number;
  /**
   * A database with an owner of the same name, made the first time and filled once: what fill() has begun and not finished
   * is thrown away by the next call.
   */
  createDatabase(name: string, fill?: (draft: EmbeddedDatabase) => Promise<void>): Promise<EmbeddedDatabase>;
  /** Gives the server up. The last process to do so stops it. */
  stop(): Promise<void>;
}

const CONTROL_STORE = 'declutter';

/** Held while roles and databases are made. */
const MAKING = 4_207_002;

/** Starts the server under that folder, or joins the one that another process has started. */
export async function startEmbedded(dataDir: string, log: Log): Promise<Embedded> {
  const secret = await secretOf(dataDir, 'postgres');
  const passwordOf = (role: string) => createHmac('sha256', secret).update(role).digest('base64url');
  const cluster = await prepareCluster(dataDir, passwordOf(SUPERUSER));
  const membership = await join(cluster, passwordOf(SUPERUSER), log);
  const { port } = membership;
  const createDatabase = async (name: string, fill?: (draft: EmbeddedDatabase) => Promise<void>) => {
    const database: EmbeddedDatabase = {
      host: '127.0.0.1',
      port,
      database: name,
      user: name,
      password: passwordOf(name),
    };
    await provide(port, passwordOf(SUPERUSER), database, fill);
    return database;
  };
  const { user, password } = await createDatabase(CONTROL_STORE);
  const at = (login: string, database: string) => `postgres://${login}@127.0.0.1:${port}/${database}`;
  const url = at(`${user}:${password}`, CONTROL_STORE);
  const superuserUrl = at(`${SUPERUSER}:${passwordOf(SUPERUSER)}`, 'postgres');
  return { url, superuserUrl, host: '127.0.0.1', port, createDatabase, stop: membership.leave };
}

async function provide(
  port: number,
  password: string,
  wanted: EmbeddedDatabase,
  fill?: (draft: EmbeddedDatabase) => Promise<void>,
): Promise<void> {
  const client = superuserClient(port, password, 'postgres', 'declutter/setup');
  await client.connect();
  try {
    await client.query('SELECT pg_catalog.pg_advisory_lock($1)', [MAKING]);
    if (await hasDatabase(client, wanted.database)) return;
    await makeRole(client, wanted);
    const draft = { ...wanted, database: `${wanted.database}_draft` };
    await makeDatabase(client, draft);
    await addExtensions(port, password, draft.database);
    await fill?.(draft);
    await client.query(`ALTER DATABASE ${name(draft.database)} RENAME TO ${name(wanted.database)}`);
  } finally {
    await client.end();
  }
}

const name = (identifier: string) => pg.escapeIdentifier(identifier);

async function hasDatabase(client: pg.Client, database: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_database WHERE datname = $1', [
    database,
  ]);
  return rowCount === 1;
}

/** pg_monitor: it may see the statistics of all, and measure by pgstattuple. */
async function makeRole(client: pg.Client, { user, password }: EmbeddedDatabase): Promise<void> {
  const { rowCount } = await client.query('SELECT FROM pg_catalog.pg_roles WHERE rolname = $1', [user]);
  if (rowCount === 0) await client.query(`CREATE ROLE ${name(user)} LOGIN`);
  await client.query(`ALTER ROLE ${name(user)} PASSWORD ${pg.escapeLiteral(password)}`);
  await client.query(`GRANT pg_monitor TO ${name(user)}`);
}

/** Nobody but its owner may connect to a database. */
async function makeDatabase(client: pg.Client, { database, user }: EmbeddedDatabase): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS ${name(database)} WITH (FORCE)`);
  await client.query(`CREATE DATABASE ${name(database)} OWNER ${name(user)}`);
  await client.query(`REVOKE CONNECT, TEMPORARY ON DATABASE ${name(database)} FROM PUBLIC`);
}

/** Only a superuser may. */
async function addExtensions(port: number, password: string, database: string): Promise<void> {
  const client = superuserClient(port, password, database, 'declutter/setup');
  await client.connect();
  try {
    await client.query('CREATE EXTENSION IF NOT EXISTS pgstattuple');
  } finally {
    await client.end();
  }
}
