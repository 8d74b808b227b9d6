import type { DatabaseIdentity } from '../domain/plan.ts';
import { DeclutterError } from '../errors.ts';
import { readIdentity, sameIdentity } from '../target/identity.ts';
import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog, userSchemas } from './catalog-query.ts';
import type { ReplicaUsage } from './define-analysis.ts';
import { FORGOTTEN_DAYS } from './usage-counters.ts';

/** A read-only copy that is registered with its database. */
export interface Replica {
  readonly name: string;
  open(): Promise<Session>;
}

/** Streaming ones. To a role that may not read statistics each is shown without its state. */
export const STANDBYS = sql`
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication r WHERE coalesce(r.state, 'streaming') = 'streaming')::float8`;

/** What the copies' own counters say: a query that only runs there is a use all the same. */
export async function readReplicas(
  primary: Session,
  replicas: readonly Replica[],
): Promise<readonly ReplicaUsage[]> {
  if (replicas.length === 0) return [];
  const identity = await primary.transaction(() => readIdentity(primary));
  return Promise.all(replicas.map((replica) => readReplica(replica, identity)));
}

async function readReplica(replica: Replica, identity: DatabaseIdentity): Promise<ReplicaUsage> {
  try {
    const session = await replica.open();
    try {
      const own = await session.transaction(() => readIdentity(session));
      if (!sameIdentity(own, identity)) return unknownUsage(replica, 'it is no copy of this database');
      return { name: replica.name, unreachable: null, ...(await readUsage(session)) };
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof DeclutterError)) throw error;
    return unknownUsage(replica, error.message);
  }
}

const unknownUsage = ({ name }: Replica, unreachable: string): ReplicaUsage => ({
  name,
  unreachable,
  countersSince: null,
  receives: false,
  standbys: 0,
  scans: new Map(),
});

async function readUsage(session: Session): Promise<Omit<ReplicaUsage, 'name' | 'unreachable'>> {
  const scans = await readCatalog<{ oid: number; scans: number }>(session, scansQuery(session.serverVersion));
  const [server] = await readCatalog<{ since: Date | null; receives: boolean; standbys: number }>(
    session,
    sql`SELECT greatest(pg_catalog.pg_stat_get_db_stat_reset_time(d.oid), (SELECT a.stats_reset FROM pg_catalog.pg_stat_archiver a)) AS since,
               EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) AS receives, ${STANDBYS} AS standbys
          FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()`,
  );
  return {
    countersSince: server?.since ?? null,
    receives: server?.receives ?? false,
    standbys: server?.standbys ?? 0,
    scans: new Map(scans.map((row) => [row.oid, row.scans])),
  };
}

/** What was last scanned so long ago that it is forgotten does not count, where the server tells. */
const scansQuery = (version: number) => sql`
  SELECT c.oid AS oid, pg_catalog.pg_stat_get_numscans(c.oid)::float8 AS scans
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm', 'i') AND ${userSchemas} AND pg_catalog.pg_stat_get_numscans(c.oid) > 0
     AND ${version >= 160_000 ? sql`coalesce(pg_catalog.pg_stat_get_lastscan(c.oid) > pg_catalog.now() - ${`${FORGOTTEN_DAYS} days`}::interval, true)` : sql`true`}
   ORDER BY c.oid`;
