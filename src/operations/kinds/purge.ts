import type { OperationSpec } from '../../domain/plan.ts';
import { ident, sql } from '../../target/sql.ts';
import { compileFilter } from '../../target/row-filter.ts';
import { BatchTooLarge, type BatchWork, type Operation, type OperationContext } from '../define-operation.ts';
import { deletable } from '../delete-rows.ts';
import { type Picked, RowPicker } from '../pick-rows.ts';

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
    let picked: Picked;
    return {
      mode: 'BATCHES',
      prepare: () => picker.prepare(),
      treat: async (size) => {
        picked = picker.next(size.units);
        const where = await deletable(session, relation, picked.where, filter);
        const rows = await session.execute(sql`DELETE FROM ONLY ${table} WHERE ${where}`);
        if (rows > size.maxRows) throw new BatchTooLarge('ROWS');
        return { units: picked.units, rows, cursor: { ...picked.next }, frame: null, storeMs: 0 };
      },
      confirm: (rows) => picker.confirm(picked, rows),
      finish: async () => undefined,
    };
  },
} satisfies Operation<Purge>;
