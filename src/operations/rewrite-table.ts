import { setTimeout as rest } from 'node:timers/promises';
import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import { clusterSql, vacuumFullSql } from '../target/reorganization-sql.ts';
import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { holdersInWords, readTableUsers } from '../target/waits.ts';
import { brokenBy, readTableState, type TableState } from './intact-table.ts';
import type { Statement, StatementProgress } from './define-operation.ts';

/** For as long others queue behind the lock that it asks for, at a time; too short for the engine to see who holds it. */
const LOCK_MS = 200;
const TRIES = 5;

/** VACUUM FULL, or CLUSTER by an index: the table is written anew while nobody else reads or writes it. */
export function rewriteTable(
  session: Session,
  relation: Relation,
  index: { readonly name: string } | null,
): Statement {
  let before: TableState | null = null;
  const statement = index === null ? vacuumFullSql(relation) : clusterSql(relation, index);
  return {
    description: `${index === null ? 'VACUUM FULL' : `CLUSTER by ${index.name}`} of ${relation.schema}.${relation.name}`,
    sql: statement,
    holdsTable: true,
    perform: (signal) => sendBriefly(session, relation, statement, signal),
    progress: (monitor) => readRewriteProgress(monitor, session.backend.pid),
    cleanUp: async () => {
      before = await readTableState(session, relation.oid);
      return [];
    },
    verify: async () =>
      before === null ? null : brokenBy(before, await readTableState(session, relation.oid)),
  };
}

async function sendBriefly(
  session: Session,
  relation: Relation,
  statement: string,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await session.bare(statement, { lockTimeoutMs: LOCK_MS, statementTimeoutMs: 0 });
    } catch (error) {
      if (!(error instanceof TargetError) || error.failure !== 'LOCKED') throw error;
    }
    if (tries === TRIES) throw await lockedBy(session, relation);
    await rest(2 ** tries * 200);
    if (signal.aborted) throw new TargetError('CANCELLED', null, 'Nobody waits for it any more.', null);
  }
}

async function lockedBy(session: Session, { oid, schema, name }: Relation): Promise<Stop> {
  const users = holdersInWords(await readTableUsers(session, oid));
  return new Stop(
    'LOCKED',
    `${schema}.${name} could not be locked in ${TRIES} tries: ${users} uses it. Resume when that has ended.`,
  );
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
