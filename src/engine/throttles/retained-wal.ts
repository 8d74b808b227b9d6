import { sql } from '../../target/sql.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests when a replication slot keeps much WAL on the disk: what we write is kept too, until the disk is full. */
export const retainedWal: HealthCheck = {
  name: 'retained-wal',
  async objection({ monitor, throttle }) {
    const [slot] = await monitor.query<{ name: string; active: boolean; bytes: number }>(sql`
      SELECT slot_name AS name, active,
             pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)::pg_catalog.float8 AS bytes
        FROM pg_catalog.pg_replication_slots WHERE restart_lsn IS NOT NULL ORDER BY restart_lsn, slot_name LIMIT 1`);
    if (!slot || slot.bytes <= throttle.maxRetainedWalBytes) return null;
    const reader = slot.active ? 'is read slowly' : 'is read by nobody';
    return `The replication slot "${slot.name}" ${reader} and keeps ${slot.bytes} bytes of WAL; at most ${throttle.maxRetainedWalBytes} may be kept.`;
  },
};
