import type { PlanNotice } from '../domain/plan.ts';
import { holdsOn } from '../store/holds.ts';
import type { Relation } from '../target/catalog.ts';
import { compileFilter } from '../target/row-filter.ts';
import { ident, type Sql, sql } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

export interface HeldRows {
  /** All holds in force on the table, those too that hold other rows. */
  readonly ids: readonly string[];
  readonly blockers: readonly PlanNotice[];
}

/** Whether a hold protects any of the chosen rows. When that cannot be told, it does. */
export async function heldRows(context: PlanContext, relation: Relation, filter: Sql): Promise<HeldRows> {
  const holds = await holdsOn(context.deps.store, context.database.id, [relation]);
  const blockers: PlanNotice[] = [];
  for (const { id, where, reason } of holds) {
    const held =
      where === null ? 'all rows' : await rowsHeld(context, relation, filter, compileFilter(where, relation));
    if (held === null) continue;
    blockers.push(
      notice(
        'HOLD',
        `A hold protects ${held} of ${nameOf(relation)}: ${reason}`,
        `An administrator can release it (releaseHold ${id}).`,
      ),
    );
  }
  return { ids: holds.map(({ id }) => id), blockers };
}

async function rowsHeld(
  { session, budget }: PlanContext,
  relation: Relation,
  filter: Sql,
  held: Sql,
): Promise<string | null> {
  const rows = await budget.query<{ any: boolean }>(
    session,
    sql`SELECT EXISTS (SELECT FROM ONLY ${ident(relation.schema, relation.name)} WHERE ${filter} AND ${held}) AS any`,
  );
  if (rows === null) return 'rows that could not be told apart in time';
  return rows[0]?.any === true ? 'chosen rows' : null;
}
