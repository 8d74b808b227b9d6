import pg from 'pg';
import type { Log } from '../log.ts';
import { untilGone } from './embedded-lock.ts';
import { type Cluster, ensureServer, SUPERUSER } from './embedded-cluster.ts';

/** Held shared by every process that uses the server, and alone by the one that stops it. */
const MEMBERS = 4_207_001;

/** A fast shutdown writes what is in memory; a slow disk needs a while. */
const STOP_TIMEOUT_MS = 60_000;

const RETRY_MS = 250;

/** One process's use of the embedded server. */
export interface Membership {
  readonly port: number;
  /** Gives the server up; the last member stops it. */
  leave(): Promise<void>;
}

interface Connection {
  readonly client: pg.Client;
  readonly pid: number;
  readonly port: number;
}

/**
 * Joins the server, which is started if need be, and keeps it served: members are counted by a lock in the server itself, on a
 * connection of their own, so that a killed process is no longer counted the moment it dies. When the server dies the members start
 * it again.
 */
export async function join(cluster: Cluster, password: string, log: Log): Promise<Membership> {
  let hasLeft = false;
  let current = connect();
  return {
    port: (await current).port,
    leave: async () => {
      hasLeft = true;
      const connection = await current.catch(() => null); // it could not be started again: nothing to stop
      if (connection) await leave(cluster, connection);
    },
  };

  async function connect(): Promise<Connection> {
    const connection = await becomeMember(cluster, password);
    connection.client.once('end', () => {
      if (hasLeft) return;
      log.warn('the embedded PostgreSQL has gone; starting it again');
      current = connect();
      current.catch((err: unknown) => {
        log.error({ err }, 'the embedded PostgreSQL does not start');
      });
    });
    return connection;
  }
}

async function becomeMember(cluster: Cluster, password: string): Promise<Connection> {
  for (;;) {
    const { pid, port } = await ensureServer(cluster);
    const client = superuserClient(port, password, 'postgres', 'declutter/member');
    try {
      await client.connect();
      await client.query('SELECT pg_catalog.pg_advisory_lock_shared($1)', [MEMBERS]);
      return { client, pid, port };
    } catch (error) {
      await client.end().catch(() => undefined); // it never was open, or is broken
      if (!isGoing(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS)); // the last member is stopping the server: the next one is ours
    }
  }
}

/** The server is shutting down, has just done so, or is not quite up. */
function isGoing(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  return /^(57P0[123]|ECONN\w+|EPIPE)$/.test(code ?? '') || message === 'Connection terminated unexpectedly';
}

async function leave(cluster: Cluster, { client, pid }: Connection): Promise<void> {
  const isLast = await client
    .query<{ last: boolean }>(
      `SELECT pg_catalog.pg_advisory_unlock_shared($1), pg_catalog.pg_try_advisory_lock($1) AS last`,
      [MEMBERS],
    )
    .then(({ rows }) => rows[0]?.last === true)
    .catch(() => false); // the server has gone by itself
  if (isLast) {
    process.kill(pid, 'SIGINT');
    await untilGone(cluster.data, pid, STOP_TIMEOUT_MS);
  }
  await client.end().catch(() => undefined); // the server has hung up already
}

export function superuserClient(port: number, password: string, database: string, name: string): pg.Client {
  const config = {
    host: '127.0.0.1',
    port,
    user: SUPERUSER,
    password,
    database,
    application_name: name,
    keepAlive: true,
  };
  const client = new pg.Client(config);
  client.on('error', () => undefined); // told by 'end', and by the statement that waits
  return client;
}
