import type { Relation } from '../target/catalog.ts';
import { clusterSql, vacuumFullSql } from '../target/reorganization-sql.ts';
import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import { brokenBy, readTableState, type TableState } from './intact-table.ts';
import type { Statement, StatementProgress } from './define-operation.ts';

/** For as long others queue behind the lock that it asks for, at a time. */
const LOCK_MS = 200;

/** VACUUM FULL, or CLUSTER by an index: the table is written anew while nobody else reads or writes it. */
export function rewriteTable(
  session: Session,
  relation: Relation,
  index: { readonly name: string } | null,
): Statement {
  let before: TableState | null = null;
  return {
    description: `${index === null ? 'VACUUM FULL' : `CLUSTER by ${index.name}`} of ${relation.schema}.${relation.name}`,
    sql: index === null ? vacuumFullSql(relation) : clusterSql(relation, index),
    lockTimeoutMs: LOCK_MS,
    holdsTable: true,
    progress: (monitor) => readRewriteProgress(monitor, session.backend.pid),
    cleanUp: async () => {
      before = await readTableState(session, relation.oid);
      return [];
    },
    verify: async () =>
      before === null ? null : brokenBy(before, await readTableState(session, relation.oid)),
  };
}

/** Blocks read of the old table; what comes after (writing, indexes) has no measure. */
async function readRewriteProgress(monitor: Session, pid: number): Promise<StatementProgress | null> {
  const [row] = await monitor.transaction(() =>
    monitor.query<StatementProgress>(sql`
      SELECT phase, nullif(heap_blks_scanned, 0)::pg_catalog.float8 AS done, nullif(heap_blks_total, 0)::pg_catalog.float8 AS total
        FROM pg_catalog.pg_stat_progress_cluster WHERE pid = ${integer(pid)}`),
  );
  return row ?? null;
}
