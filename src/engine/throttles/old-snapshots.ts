import { sql } from '../../target/sql.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests while another session keeps an old snapshot open: what is deleted meanwhile can't be vacuumed away. */
export const oldSnapshots: HealthCheck = {
  name: 'old-snapshots',
  async objection({ monitor, workerPids, throttle: { maxSnapshotAgeMs } }) {
    if (maxSnapshotAgeMs === null) return null;
    const [oldest] = await monitor.query<{ pid: number; name: string; age: number | null }>(sql`
      SELECT pid, coalesce(nullif(application_name, ''), usename, '') AS name,
             (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) xact_start) * 1000)::pg_catalog.float8 AS age
        FROM pg_catalog.pg_stat_activity
       WHERE backend_xmin IS NOT NULL AND datname = pg_catalog.current_database()
         AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid() AND pid OPERATOR(pg_catalog.<>) ALL (${workerPids.map(String)}::pg_catalog.int4[])
       ORDER BY xact_start, pid LIMIT 1`);
    if (!oldest || (oldest.age ?? 0) <= maxSnapshotAgeMs) return null;
    return `Session ${oldest.pid} (${oldest.name}) holds a snapshot for ${Math.round((oldest.age ?? 0) / 1000)} s; at most ${maxSnapshotAgeMs / 1000} s are allowed.`;
  },
};
