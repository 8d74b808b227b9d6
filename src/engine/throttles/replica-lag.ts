import { sql } from '../../target/sql.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests when a standby has fallen behind, in time or in WAL. */
export const replicaLag: HealthCheck = {
  name: 'replica-lag',
  async objection({ monitor, throttle }) {
    const { hidden, lag, bytes } = await monitor.one<{
      hidden: number;
      lag: number | null;
      bytes: number | null;
    }>(sql`
      SELECT pg_catalog.count(*) FILTER (WHERE state IS NULL)::pg_catalog.int4 AS hidden,
             (pg_catalog.date_part('epoch', pg_catalog.max(replay_lag)) * 1000)::pg_catalog.float8 AS lag,
             pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), replay_lsn))::pg_catalog.float8 AS bytes
        FROM pg_catalog.pg_stat_replication`);
    if (hidden > 0) {
      return 'There are standbys, but our role may not see how far they lag: GRANT pg_monitor to it.';
    }
    if (lag !== null && lag > throttle.maxReplicaLagMs) {
      return `A standby lags ${Math.round(lag)} ms behind; at most ${throttle.maxReplicaLagMs} ms are allowed.`;
    }
    if (bytes === null || bytes <= throttle.maxReplicaLagBytes) return null;
    return `A standby lags ${bytes} bytes of WAL behind; at most ${throttle.maxReplicaLagBytes} are allowed.`;
  },
};
