import type { OperationSpec } from '../../domain/plan.ts';
import { compileFilter } from '../../target/row-filter.ts';
import { ident, sql } from '../../target/sql.ts';
import type { BatchWork, Operation, OperationContext } from '../define-operation.ts';
import { abandonPartition } from '../abandon-partition.ts';
import { createHolder, createPartHolders } from '../archive-table.ts';
import { readIncluded } from '../delete-closure.ts';
import { deletable } from '../delete-rows.ts';
import { closureMover } from '../move-closure.ts';
import { moveRows } from '../move-rows.ts';
import { PartitionedWork } from '../partitioned-work.ts';
import { RowPicker } from '../pick-rows.ts';
import { deletesOverlap, pickedWork } from '../picked-work.ts';

type Archive = Extract<OperationSpec, { kind: 'ARCHIVE' }>;

/** Moves the chosen rows into an archive, when asked to with all that references them: what is deleted is what is kept, in the same transaction. */
export const archive = {
  kind: 'ARCHIVE',
  counts: 'rowsArchived',
  open: (context: OperationContext<Archive>): Promise<BatchWork> =>
    context.spec.partitions ? Promise.resolve(new PartitionedWork(context, openTable)) : openTable(context),
  abandon: abandonPartition,
} satisfies Operation<Archive>;

async function openTable(context: OperationContext<Archive>): Promise<BatchWork> {
  const { session, relation, spec } = context;
  const table = ident(relation.schema, relation.name);
  const filter = compileFilter(spec.filter, relation);
  const picker = new RowPicker(session, table, filter, spec.pick, context.cursor);
  await picker.open();
  if (spec.destination.kind === 'TABLE') await createHolder(context, spec.destination);
  if (spec.dependents === 'INCLUDE') {
    const reached = await readIncluded(session, relation, context.plan);
    if (spec.destination.kind === 'TABLE') await createPartHolders(context, spec.destination, reached);
    return pickedWork(picker, closureMover(context, reached, filter), { overlaps: false });
  }
  return pickedWork(
    picker,
    async (batchSession, places, size) => {
      const where = await deletable(batchSession, relation, places, filter);
      return moveRows(context, batchSession, sql`DELETE FROM ONLY ${table} WHERE ${where}`, size);
    },
    { overlaps: deletesOverlap(relation) },
  );
}
