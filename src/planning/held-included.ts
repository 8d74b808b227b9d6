import type { HeldBeside, PlanNotice } from '../domain/plan.ts';
import { type HoldView, holdsOn } from '../store/holds.ts';
import type { Relation } from '../target/catalog.ts';
import { type Reached, rowsOf } from '../target/reached-tables.ts';
import { compileFilter } from '../target/row-filter.ts';
import { ident, sql } from '../target/sql.ts';
import type { Doomed } from './doomed-rows.ts';
import { blocked, fits } from './holds.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';

/** What holds say of the tables whose rows go along. */
export interface HeldAlong {
  readonly blockers: readonly PlanNotice[];
  readonly warnings: readonly PlanNotice[];
  /** those that protect none of the rows: each batch looks again */
  readonly beside: readonly HeldBeside[];
}

interface Look {
  readonly reached: Reached;
  /** null: not known which rows go */
  readonly doomed: Doomed | null;
}

/** Whether a hold protects any of the rows that would go along, or change. When that cannot be told, it does. */
export async function heldIncluded(
  context: PlanContext,
  look: Look,
  tables: readonly Relation[],
): Promise<HeldAlong> {
  const blockers: PlanNotice[] = [];
  const warnings: PlanNotice[] = [];
  const beside: HeldBeside[] = [];
  for (const table of tables) {
    for (const hold of await holdsOn(context.deps.store, context.database.id, [table])) {
      const held = await heldAlong(context, look, table, hold);
      if (held !== null) blockers.push(blocked(held, table, hold));
      if (held !== null || hold.where === null) continue;
      beside.push({ hold: hold.id, oid: table.oid, filter: hold.where, reason: hold.reason });
      warnings.push(notAlong(table, hold));
    }
  }
  return { blockers, warnings, beside };
}

const notAlong = (table: Relation, { reason }: HoldView): PlanNotice =>
  notice(
    'HOLD_BESIDE',
    `A hold protects rows of ${nameOf(table)} that reference none of the chosen ones: ${reason}.`,
    'A batch that would take such a row along after all is rolled back, and the run pauses.',
  );

/** Which of the rows that go along are held; null: none. A row for which the filter is unknown is held. */
async function heldAlong(
  { session, budget }: PlanContext,
  { reached, doomed }: Look,
  table: Relation,
  { where }: HoldView,
): Promise<Parameters<typeof blocked>[0] | null> {
  if (where === null) return 'ALL';
  if (doomed === null || !onlyGoes(reached, table)) return 'CHANGED';
  if (!(await fits(session, table, where))) return 'UNFIT';
  const row = ident('along');
  const rows = await budget.query<{ any: boolean }>(
    session,
    sql`${doomed.prefix} SELECT EXISTS (
          SELECT FROM ${rowsOf(table, row)} WHERE ${doomed.condition(table, row)} AND (${compileFilter(where, table, row)}) IS NOT FALSE) AS any`,
  );
  if (rows === null) return 'UNTOLD';
  return rows[0]?.any === true ? 'ALONG' : null;
}

/** Its rows go along, and none of them only changes. Which rows of the subject are only taken along is not told apart. */
const onlyGoes = ({ subject, edges, deletes }: Reached, { oid }: Relation): boolean =>
  oid !== subject.oid && edges.every(({ key, child }) => child.oid !== oid || deletes(key));
