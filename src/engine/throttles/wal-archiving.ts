import { sql } from '../../target/sql.ts';
import type { HealthCheck } from '../define-throttle.ts';

/** Rests when finished WAL segments pile up because they are not archived: we make more of them. */
export const walArchiving: HealthCheck = {
  name: 'wal-archiving',
  async objection({ monitor, throttle }) {
    const { archives, visible } = await monitor.one<{ archives: boolean; visible: boolean }>(sql`
      SELECT pg_catalog.current_setting('archive_mode') OPERATOR(pg_catalog.<>) 'off' AS archives,
             pg_catalog.has_function_privilege('pg_catalog.pg_ls_archive_statusdir()', 'EXECUTE') AS visible`);
    if (!archives) return null;
    if (!visible) {
      return 'The server archives its WAL, but our role may not see how much waits: GRANT pg_monitor to it.';
    }
    const { waiting } = await monitor.one<{ waiting: number }>(sql`
      SELECT pg_catalog.count(*)::pg_catalog.int4 AS waiting FROM pg_catalog.pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`);
    if (waiting <= throttle.maxUnarchivedSegments) return null;
    return `${waiting} WAL segments wait to be archived; at most ${throttle.maxUnarchivedSegments} may. See archive_command.`;
  },
};
