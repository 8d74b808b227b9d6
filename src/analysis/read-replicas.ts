import { DeclutterError } from '../errors.ts';
import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog, userSchemas } from './catalog-query.ts';
import type { ReplicaUsage } from './define-analysis.ts';

/** A read-only copy that is registered with its database. */
export interface Replica {
  readonly name: string;
  open(): Promise<Session>;
}

/** What the copies' own counters say: a query that only runs there is a use all the same. */
export const readReplicas = (replicas: readonly Replica[]): Promise<ReplicaUsage[]> =>
  Promise.all(replicas.map(readReplica));

async function readReplica(replica: Replica): Promise<ReplicaUsage> {
  try {
    const session = await replica.open();
    try {
      return { name: replica.name, unreachable: null, ...(await readUsage(session)) };
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof DeclutterError)) throw error;
    return { name: replica.name, unreachable: error.message, countersSince: null, scans: new Map() };
  }
}

async function readUsage(session: Session): Promise<Pick<ReplicaUsage, 'countersSince' | 'scans'>> {
  const scans = await readCatalog<{ oid: number; scans: number }>(
    session,
    sql`SELECT c.oid AS oid, pg_catalog.pg_stat_get_numscans(c.oid)::float8 AS scans
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'm', 'i') AND ${userSchemas} AND pg_catalog.pg_stat_get_numscans(c.oid) > 0 ORDER BY c.oid`,
  );
  const [counters] = await readCatalog<{ since: Date | null }>(
    session,
    sql`SELECT pg_catalog.pg_stat_get_db_stat_reset_time(d.oid) AS since FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`,
  );
  return { countersSince: counters?.since ?? null, scans: new Map(scans.map((row) => [row.oid, row.scans])) };
}
