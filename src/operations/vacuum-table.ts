import type { VacuumOptions } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { analyzeSql, PLAIN_VACUUM, vacuumSettings, vacuumSql } from '../target/reorganization-sql.ts';
import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import type { Statement, StatementProgress } from './define-operation.ts';

/** It waits behind other maintenance only; nobody who reads or writes queues behind it. */
const LOCK_MS = 2_000;

/** Makes the space of dead rows reusable, in the table, its TOAST table and its indexes. */
export function vacuumTable(
  session: Session,
  relation: Relation,
  options: VacuumOptions = PLAIN_VACUUM,
): Statement {
  return {
    description: `VACUUM ${relation.schema}.${relation.name}`,
    sql: vacuumSql(relation, options),
    settings: vacuumSettings(options),
    lockTimeoutMs: LOCK_MS,
    progress: (monitor) => readVacuumProgress(monitor, session.backend.pid, relation.oid),
    cleanUp: () => Promise.resolve([]),
    verify: () => Promise.resolve(null),
  };
}

/** Renews the statistics. */
export const analyzeTable = (relation: Relation): Statement => ({
  description: `ANALYZE ${relation.schema}.${relation.name}`,
  sql: analyzeSql(relation),
  lockTimeoutMs: LOCK_MS,
  cleanUp: () => Promise.resolve([]),
  verify: () => Promise.resolve(null),
});

/** Blocks that were scanned, in the phases that go through the table; the others have no measure. The TOAST table comes second. */
export async function readVacuumProgress(
  monitor: Session,
  pid: number,
  oid: number,
): Promise<StatementProgress | null> {
  const [row] = await monitor.transaction(() =>
    monitor.query<StatementProgress>(sql`
      SELECT phase || CASE WHEN relid = ${integer(oid)} THEN '' ELSE ' of the TOAST table' END AS phase,
             CASE phase WHEN 'scanning heap' THEN heap_blks_scanned WHEN 'vacuuming heap' THEN heap_blks_vacuumed END::pg_catalog.float8 AS done,
             CASE WHEN phase IN ('scanning heap', 'vacuuming heap') THEN heap_blks_total END::pg_catalog.float8 AS total
        FROM pg_catalog.pg_stat_progress_vacuum WHERE pid = ${integer(pid)}`),
  );
  return row ?? null;
}
