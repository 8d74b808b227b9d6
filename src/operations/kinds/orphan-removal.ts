import type { OperationSpec } from '../../domain/plan.ts';
import { compileFilter } from '../../target/row-filter.ts';
import type { Session } from '../../target/session.ts';
import { ident, type Sql, sql } from '../../target/sql.ts';
import {
  type BatchSize,
  BatchTooLarge,
  type BatchWork,
  type Operation,
  type OperationContext,
} from '../define-operation.ts';
import { createHolder, createPartHolders } from '../archive-table.ts';
import { readIncluded } from '../delete-closure.ts';
import { deletable, lockRows } from '../delete-rows.ts';
import { closureMover } from '../move-closure.ts';
import { moveRows } from '../move-rows.ts';
import { RowPicker } from '../pick-rows.ts';
import { keepsNothing, pickedWork, type TreatRows } from '../picked-work.ts';
import { closurePurger } from '../purge-closure.ts';
import { keepKeys, refuseSaved } from '../saved-orphans.ts';

type OrphanRemoval = Extract<OperationSpec, { kind: 'ORPHAN_REMOVAL' }>;
type Context = OperationContext<OrphanRemoval>;

/** Removes rows whose reference leads nowhere, as long as it leads nowhere: looked at again with the rows locked, and at the very end. */
export const orphanRemoval = {
  kind: 'ORPHAN_REMOVAL',
  counts: 'rowsArchived',
  async open(context: Context): Promise<BatchWork> {
    const { session, relation, spec } = context;
    const table = ident(relation.schema, relation.name);
    const filter = compileFilter(spec.filter, relation);
    const picker = new RowPicker(session, table, filter, spec.pick, context.cursor);
    await picker.open();
    if (spec.destination?.kind === 'TABLE') await createHolder(context, spec.destination);
    const remove =
      spec.dependents === 'INCLUDE' ? await removeTogether(context, filter) : removeAlone(context, filter);
    return pickedWork(picker, stillOrphans(context, filter, remove), { overlaps: false });
  },
} satisfies Operation<OrphanRemoval>;

/**
 * A statement sees what was committed when it began, also when it then waits for a row's lock: so rows are locked by one statement and
 * looked at again by the next.
 */
function stillOrphans({ relation, spec: { orphan } }: Context, filter: Sql, remove: TreatRows): TreatRows {
  return async (session, places, size) => {
    const locked = await lockRows(session, relation, places, filter);
    if (locked === null) return { rows: 0, store: keepsNothing };
    await keepKeys(session, relation, orphan, locked);
    const removed = await remove(session, locked, size);
    if (removed.rows === 0) return removed;
    return {
      ...removed,
      store: async () => {
        const frame = await removed.store();
        await refuseSaved(session, relation, orphan);
        return frame;
      },
    };
  };
}

/** With all that references them. */
async function removeTogether(context: Context, filter: Sql): Promise<TreatRows> {
  const { session, relation, spec, plan } = context;
  const reached = await readIncluded(session, relation, plan);
  if (spec.destination === null) return closurePurger(plan, reached, filter);
  if (spec.destination.kind === 'TABLE') await createPartHolders(context, spec.destination, reached);
  return closureMover(context, reached, filter);
}

const removeAlone =
  (context: Context, filter: Sql): TreatRows =>
  async (session, places, size) => {
    const { relation, spec } = context;
    const where = await deletable(session, relation, places, filter);
    const deletion = sql`DELETE FROM ONLY ${ident(relation.schema, relation.name)} WHERE ${where}`;
    return spec.destination === null
      ? purgeRows(session, deletion, size)
      : moveRows(context, session, deletion, size);
  };

async function purgeRows(session: Session, deletion: Sql, { maxRows }: BatchSize) {
  const rows = await session.execute(deletion);
  if (rows > maxRows) throw new BatchTooLarge('ROWS');
  return { rows, store: keepsNothing };
}
