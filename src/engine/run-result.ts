import type { PlanSpec } from '../domain/plan.ts';
import type { RunResult } from '../domain/run.ts';
import type { Operation } from '../operations/define-operation.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';

/** Bytes of the table with all that belongs to it; null when there is none. */
export async function measure(session: Session, relation: Relation | null): Promise<number | null> {
  if (!relation) return null;
  const { bytes } = await session.one<{ bytes: string }>(
    sql`SELECT coalesce(pg_catalog.pg_total_relation_size(${integer(relation.oid)}::pg_catalog.oid), 0)::pg_catalog.text AS bytes`,
  );
  return Number(bytes);
}

/** What came of it: bytes back on the disk are measured; bytes that became reusable are the rows' share of the table. */
export async function resultOf(
  session: Session,
  relation: Relation | null,
  before: number | null,
  done: { plan: PlanSpec; operation: Operation; rows: number },
): Promise<Partial<RunResult>> {
  const after = await measure(session, relation);
  const reclaimed = before === null || after === null ? null : Math.max(0, before - after);
  if (done.operation.counts === null) return { bytesReclaimed: reclaimed };
  if (done.operation.counts === 'rowsRestored') return { nextStep: null };
  const reusable = relation ? shareOf(relation, done.rows) : null;
  return {
    bytesReclaimed: reclaimed,
    bytesReusable: reusable,
    nextStep: done.rows === 0 ? null : nextStep(done.plan, reusable),
  };
}

const shareOf = (relation: Relation, rows: number): number =>
  Math.round((relation.heapBytes * rows) / Math.max(relation.estimatedRows, rows, 1));

function nextStep({ relations }: PlanSpec, reusable: number | null): string {
  const table = relations[0] ? `${relations[0].schema}.${relations[0].name}` : 'the table';
  const bytes = reusable === null ? 'the space' : `about ${Math.round(reusable / 1_000_000)} MB`;
  return `The rows are gone, the file has not shrunk: planReorganization with method VACUUM makes ${bytes} of ${table} reusable, and planReindex gives back its indexes' share.`;
}
