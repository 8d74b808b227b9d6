import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { DeclutterError } from '../errors.ts';
import { PrismaClient } from './client/client.ts';
import { Wishes } from './wishes.ts';

/** The door to the control store. */
export interface Store {
  readonly prisma: PrismaClient;
  readonly url: string;
  readonly wishes: Wishes;
  close(): Promise<void>;
}

/** A request needs a connection for milliseconds only; many processes share one server. */
const MAX_CONNECTIONS = 8;

/** @throws DeclutterError STORE_UNAVAILABLE when the server does not answer. */
export async function openStore(url: string): Promise<Store> {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'declutter/store',
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    // The adapter strips the offset from a timestamptz without converting it: any other zone would shift every time.
    options: '-c TimeZone=UTC -c DateStyle=ISO',
  });
  pool.on('error', () => undefined); // an idle connection was lost; the pool has dropped it and opens another
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool), errorFormat: 'minimal' });
  try {
    await pool.query('SELECT 1');
  } catch (cause) {
    await pool.end();
    throw new DeclutterError(
      'STORE_UNAVAILABLE',
      'The control store does not answer; check DATABASE_URL.',
      {},
      { cause },
    );
  }
  const wishes = new Wishes(url);
  const close = async () => {
    await wishes.close();
    await prisma.$disconnect();
    await pool.end();
  };
  return { prisma, url, wishes, close };
}

/** Of a connection that breaks under a statement Prisma hands on what pg says, as it came: there is no code to know it by. */
const BROKEN =
  /^(Connection terminated|Client (was closed|has encountered)|timeout exceeded when trying to connect|write EPIPE)/;

/** Whether something failed in the control store, and not in what was asked of it. */
export const isStoreFailure = (error: unknown): boolean =>
  error instanceof Error &&
  (error.name.startsWith('PrismaClient') ||
    error.name === 'DriverAdapterError' ||
    BROKEN.test(error.message));
