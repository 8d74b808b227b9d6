import type { PlanSpec } from '../domain/plan.ts';
import type { Reached } from '../target/reached-tables.ts';
import type { Sql } from '../target/sql.ts';
import { lockClosure } from './closure.ts';
import { deleteClosure } from './delete-closure.ts';
import { keepsNothing, type TreatRows } from './picked-work.ts';
import { refuseHeld } from './refuse-held.ts';

/** Deletes the rows of a batch with whatever references them, for good. */
export function closurePurger(plan: PlanSpec, reached: Reached, filter: Sql): TreatRows {
  return async (session, places, size) => {
    const closure = await lockClosure(session, reached, { places, filter }, size);
    if (closure.chosen === 0) return { rows: 0, store: keepsNothing };
    await refuseHeld(session, plan, closure);
    await deleteClosure(session, reached, closure);
    const parts = closure.included.map(({ relation: { oid }, rows }) => ({
      part: plan.relations.findIndex((planned) => planned.oid === oid),
      rows,
      frame: null,
    }));
    return {
      rows: closure.chosen,
      included: parts.reduce((sum, { rows }) => sum + rows, 0),
      store: keepsNothing,
      storeParts: () => Promise.resolve(parts),
    };
  };
}
