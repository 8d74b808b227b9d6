import { sql } from '../../target/sql.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests while VACUUM or the like is at work on the table: both would read and write the same pages, and it must come to its end. */
export const tableMaintenance: HealthCheck = {
  name: 'table-maintenance',
  async objection({ monitor, workerPids, tables, throttle }) {
    if (!throttle.restForMaintenance) return null;
    const [lock] = await monitor.query<{ pid: number; what: string | null }>(sql`
      SELECT l.pid, pg_catalog.left(a.query, 60) AS what
        FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid
       WHERE l.locktype = 'relation' AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
         AND l.database OPERATOR(pg_catalog.=) (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
         AND l.relation OPERATOR(pg_catalog.=) ANY (${tables.map(String)}::pg_catalog.oid[])
         AND l.pid OPERATOR(pg_catalog.<>) ALL (${workerPids.map(String)}::pg_catalog.int4[]) ORDER BY l.pid LIMIT 1`);
    if (!lock) return null;
    return `Session ${lock.pid} maintains the table (${lock.what ?? 'VACUUM, ANALYZE or an index being built'}).`;
  },
};
