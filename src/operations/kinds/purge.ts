import type { OperationSpec } from '../../domain/plan.ts';
import { ident, type Sql, sql } from '../../target/sql.ts';
import { compileFilter } from '../../target/row-filter.ts';
import { BatchTooLarge, type BatchWork, type Operation, type OperationContext } from '../define-operation.ts';
import { lockClosure } from '../closure.ts';
import { deleteClosure, readIncluded } from '../delete-closure.ts';
import { deletable } from '../delete-rows.ts';
import { RowPicker } from '../pick-rows.ts';
import { deletesOverlap, keepsNothing, pickedWork } from '../picked-work.ts';

type Purge = Extract<OperationSpec, { kind: 'PURGE' }>;

/** Deletes the chosen rows for good. */
export const purge = {
  kind: 'PURGE',
  counts: 'rowsDeleted',
  async open(context: OperationContext<Purge>): Promise<BatchWork> {
    const { session, relation, spec } = context;
    const table = ident(relation.schema, relation.name);
    const filter = compileFilter(spec.filter, relation);
    const picker = new RowPicker(session, table, filter, spec.pick, context.cursor);
    await picker.open();
    if (spec.dependents === 'INCLUDE') return withDependents(context, picker, filter);
    return pickedWork(
      picker,
      async (batchSession, places, size) => {
        const where = await deletable(batchSession, relation, places, filter);
        const rows = await batchSession.execute(sql`DELETE FROM ONLY ${table} WHERE ${where}`);
        if (rows > size.maxRows) throw new BatchTooLarge('ROWS');
        return { rows, store: keepsNothing };
      },
      { overlaps: deletesOverlap(relation) },
    );
  },
} satisfies Operation<Purge>;

/** Each batch takes along whatever references its rows. */
async function withDependents(
  { session, relation, plan }: OperationContext<Purge>,
  picker: RowPicker,
  filter: Sql,
): Promise<BatchWork> {
  const reached = await readIncluded(session, relation, plan);
  return pickedWork(
    picker,
    async (batchSession, places, size) => {
      const closure = await lockClosure(batchSession, reached, { places, filter }, size);
      if (closure.chosen === 0) return { rows: 0, store: keepsNothing };
      await deleteClosure(batchSession, reached, closure);
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
    },
    { overlaps: false },
  );
}
