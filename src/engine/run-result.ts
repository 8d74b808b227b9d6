import type { PlanSpec } from '../domain/plan.ts';
import type { RunResult, StatementFigures } from '../domain/run.ts';
import type { Operation } from '../operations/define-operation.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { integer, sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import { readStatements } from '../target/statement-times.ts';
import type { FirstLook, StatementCount } from './first-look.ts';
import { keepOrphansOut } from './keep-orphans-out.ts';
import { nextAfterReorganization } from './next-step.ts';

export interface Measure {
  /** of the table with all that belongs to it */
  readonly bytes: number;
  readonly live: number;
  readonly dead: number;
}

/** null when there is no table, or somebody has it locked: a figure is nothing to end a turn for. */
export async function measure(session: Session, relation: Relation | null): Promise<Measure | null> {
  if (!relation) return null;
  try {
    return await session.transaction(() => readMeasure(session, relation));
  } catch (error) {
    if (error instanceof TargetError && error.failure === 'LOCKED') return null;
    throw error;
  }
}

async function readMeasure(session: Session, relation: Relation): Promise<Measure> {
  const oid = sql`${integer(relation.oid)}::pg_catalog.oid`;
  return session.one<Measure>(sql`
    SELECT ${
      relation.kind === 'PARTITIONED'
        ? sql`(SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(relid)), 0)
                 FROM pg_catalog.pg_partition_tree(${oid}::pg_catalog.regclass))::pg_catalog.float8`
        : sql`coalesce(pg_catalog.pg_total_relation_size(${oid}), 0)::pg_catalog.float8`
    } AS bytes,
           pg_catalog.pg_stat_get_live_tuples(${oid})::pg_catalog.float8 AS live,
           pg_catalog.pg_stat_get_dead_tuples(${oid})::pg_catalog.float8 AS dead`);
}

/** What came of it: bytes back on the disk are measured; bytes that became reusable are the rows' share of the table. */
export async function resultOf(
  session: Session,
  relation: Relation | null,
  { measure: before, statements }: FirstLook,
  done: { plan: PlanSpec; operation: Operation; rows: number },
): Promise<Partial<RunResult>> {
  const after = await measure(session, relation);
  const reclaimed = before === null || after === null ? null : Math.max(0, before.bytes - after.bytes);
  if (done.operation.counts === null) {
    const reusable = freedBy(done.plan, relation, before, after);
    const { operation } = done.plan;
    return {
      bytesReclaimed: reclaimed,
      bytesReusable: reusable,
      nextStep:
        operation.kind === 'REORGANIZATION'
          ? await nextAfterReorganization(session, operation, after, reusable)
          : null,
      ...(statements === null ? {} : { statements: await figuresOf(session, statements) }),
    };
  }
  if (done.operation.counts === 'rowsRestored') return { nextStep: null };
  const reusable = relation ? shareOf(relation, done.rows) : null;
  return {
    bytesReclaimed: reclaimed,
    bytesReusable: reusable,
    nextStep: done.rows === 0 ? null : nextStep(done.plan, reusable),
  };
}

/** Those that nobody has called since the statistics were reset have no figures. */
async function figuresOf(
  session: Session,
  statements: readonly StatementCount[],
): Promise<readonly StatementFigures[]> {
  if (statements.length === 0) return [];
  const now = await readStatements(
    session,
    statements.map(({ id }) => id),
  );
  return statements.flatMap(({ id, calls, ms }) => {
    const end = now?.find((statement) => statement.id === id);
    return end
      ? [{ id, query: end.query, before: { calls, ms }, end: { calls: end.calls, ms: end.ms } }]
      : [];
  });
}

/** VACUUM frees the dead rows' share of the table. null where the counters do not show it, as they may lag behind. */
function freedBy(
  { operation }: PlanSpec,
  relation: Relation | null,
  before: Measure | null,
  after: Measure | null,
): number | null {
  if (operation.kind !== 'REORGANIZATION' || operation.method !== 'VACUUM') return 0;
  if (!relation || !before || !after) return null;
  if (after.dead >= before.dead) return before.dead === 0 ? 0 : null;
  return Math.round((relation.heapBytes * (before.dead - after.dead)) / (before.live + before.dead));
}

const shareOf = (relation: Relation, rows: number): number =>
  Math.round((relation.heapBytes * rows) / Math.max(relation.estimatedRows, rows, 1));

function nextStep({ relations, operation }: PlanSpec, reusable: number | null): string {
  const [subject] = relations;
  const table = subject ? `${subject.schema}.${subject.name}` : 'the table';
  const bytes = reusable === null ? 'the space' : `about ${Math.round(reusable / 1_000_000)} MB`;
  const space = `The rows are gone, the file has not shrunk: planReorganization with method VACUUM makes ${bytes} of ${table} reusable, and planReindex gives back its indexes' share.`;
  return operation.kind === 'ORPHAN_REMOVAL' && subject
    ? `${keepOrphansOut(operation, subject)} ${space}`
    : space;
}
