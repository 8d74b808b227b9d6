import type { OperationSpec } from '../../domain/plan.ts';
import { ident, sql } from '../../target/sql.ts';
import { compileFilter } from '../../target/row-filter.ts';
import { abandonPartition } from '../abandon-partition.ts';
import { BatchTooLarge, type BatchWork, type Operation, type OperationContext } from '../define-operation.ts';
import { readIncluded } from '../delete-closure.ts';
import { deletable } from '../delete-rows.ts';
import { PartitionedWork } from '../partitioned-work.ts';
import { RowPicker } from '../pick-rows.ts';
import { deletesOverlap, keepsNothing, pickedWork } from '../picked-work.ts';
import { closurePurger } from '../purge-closure.ts';

type Purge = Extract<OperationSpec, { kind: 'PURGE' }>;

/** Deletes the chosen rows for good. */
export const purge = {
  kind: 'PURGE',
  counts: 'rowsDeleted',
  open: (context: OperationContext<Purge>): Promise<BatchWork> =>
    context.spec.partitions ? Promise.resolve(new PartitionedWork(context, openTable)) : openTable(context),
  abandon: abandonPartition,
} satisfies Operation<Purge>;

async function openTable(context: OperationContext<Purge>): Promise<BatchWork> {
  const { session, relation, spec, plan } = context;
  const table = ident(relation.schema, relation.name);
  const filter = compileFilter(spec.filter, relation);
  const picker = new RowPicker(session, table, filter, spec.pick, context.cursor);
  await picker.open();
  if (spec.dependents === 'INCLUDE') {
    const reached = await readIncluded(session, relation, plan);
    return pickedWork(picker, closurePurger(plan, reached, filter), { overlaps: false });
  }
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
}
