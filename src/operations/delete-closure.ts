import type { PlanSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import { followedBy, keyBeside, type Reached, readReached, rowsOf } from '../target/reached-tables.ts';
import type { Session } from '../target/session.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';
import type { ClosedRows, Closure } from './closure.ts';
import { rowsAt } from './row-place.ts';

/** What references the subject now, through all levels; the plan has named all of these tables. */
export async function readIncluded(
  session: Session,
  subject: Relation,
  { relations }: PlanSpec,
): Promise<Reached> {
  const reached = await session.transaction(() => readReached(session, subject, followedBy('INCLUDE')));
  const other = reached.tables.find(({ oid }) => !relations.some((relation) => relation.oid === oid));
  if (other === undefined) return reached;
  throw new Stop(
    'SCHEMA_DRIFT',
    `${other.schema}.${other.name} references the rows now, and did not when the plan was made. Cancel this run and plan again.`,
  );
}

/**
 * Deletes them all in one statement: keys are checked when it ends, so that circles and RESTRICT are no matter, no trigger
 * moves a row before it is gone, and PostgreSQL itself finds nothing left to cascade to.
 */
export async function deleteClosure(
  session: Session,
  { edges }: Reached,
  { rows: closure }: Closure,
): Promise<void> {
  const deletions = closure.map(
    (rows, i) => sql`${ident(`gone_${i}`)} AS (${deletionOf(rows)} RETURNING 1 AS one)`,
  );
  const counts = closure.map(
    (_, i) => sql`(SELECT pg_catalog.count(*) FROM ${ident(`gone_${i}`)})::pg_catalog.int4`,
  );
  const { gone } = await session.one<{ gone: number[] }>(
    sql`WITH ${join(deletions, ', ')} SELECT ARRAY[${join(counts, ', ')}] AS gone`,
  );
  for (const [i, rows] of closure.entries()) assertAllGone(rows, gone[i] ?? 0);
  const known = edges.map(({ key }) => key.oid);
  for (const { relation } of closure) await refuseKeysOfPartitions(session, relation, known);
}

function deletionOf({ relation, places }: ClosedRows): Sql {
  const row = ident('going');
  return sql`DELETE FROM ${rowsOf(relation, row)} WHERE ${rowsAt(relation, places, row)}`;
}

/**
 * A key that leads to one partition alone does not show at the partitioned table, and might take rows along that nobody has looked
 * for. With the rows gone nobody can add one any more: to see none now is enough.
 */
async function refuseKeysOfPartitions(
  session: Session,
  relation: Relation,
  known: readonly number[],
): Promise<void> {
  const key = relation.kind === 'PARTITIONED' ? await keyBeside(session, relation, known) : null;
  if (key === null) return;
  throw new Stop(
    'SCHEMA_DRIFT',
    `${key.child} references ${key.partition} by ${key.name}, which the plan does not follow. ` +
      'Nothing of this batch is gone. Drop that key and resume, or cancel the run and plan again.',
  );
}

function assertAllGone({ relation, places }: ClosedRows, gone: number): void {
  if (gone === places.length) return;
  throw new Stop(
    'ROWS_KEPT',
    `Of ${places.length} rows of ${relation.schema}.${relation.name} that were to go together with others ${gone} went: a BEFORE DELETE trigger keeps the rest. ` +
      'Nothing of this batch is gone. Change the trigger and resume, or cancel the run.',
  );
}
