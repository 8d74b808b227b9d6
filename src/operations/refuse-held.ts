import type { PlanSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { rowsOf } from '../target/reached-tables.ts';
import { compileFilter } from '../target/row-filter.ts';
import type { Session } from '../target/session.ts';
import { ident, sql } from '../target/sql.ts';
import type { Closure } from './closure.ts';
import { rowsAt } from './row-place.ts';

/**
 * A row that goes along and has come under a hold keeps the whole batch from going. The rows are locked: what is seen here stays
 * so. A hold that was released is no longer in the ledger when the next turn begins.
 */
export async function refuseHeld(
  session: Session,
  { heldBeside = [] }: PlanSpec,
  { rows }: Closure,
): Promise<void> {
  const row = ident('along');
  for (const { hold, oid, filter, reason } of heldBeside) {
    const along = rows.find(({ relation }) => relation.oid === oid);
    if (along === undefined) continue;
    const { relation, places } = along;
    const { any } = await session.one<{ any: boolean }>(sql`
      SELECT EXISTS (SELECT FROM declutter.hold WHERE id = ${hold}::pg_catalog.uuid)
         AND EXISTS (SELECT FROM ${rowsOf(relation, row)}
                      WHERE ${rowsAt(relation, places, row)} AND (${compileFilter(filter, relation, row)}) IS NOT FALSE) AS any`);
    if (!any) continue;
    throw new Stop(
      'HOLD',
      `A hold protects rows of ${relation.schema}.${relation.name} that would go along: ${reason}. ` +
        `Release it (releaseHold ${hold}) and resume; or cancel the run, and plan one whose filter leaves out what they reference.`,
    );
  }
}
