import { partOf } from '../domain/archive-tables.ts';
import type { ArchiveContent, LostReference } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import { type Edge, type Reached, rowsOf } from '../target/reached-tables.ts';
import { ident, integer, join, type Sql, sql } from '../target/sql.ts';
import { type ClosedRows, type Closure, lockClosure, referencesAny } from './closure.ts';
import { type BatchSize, BatchTooLarge, type OperationContext, type StoredPart } from './define-operation.ts';
import { deleteClosure } from './delete-closure.ts';
import { type PartKeeper, partKeeper } from './keep-parts.ts';
import { keepsNothing, type TreatRows } from './picked-work.ts';
import { refuseHeld } from './refuse-held.ts';
import { rowsAt } from './row-place.ts';

/** A row that cannot be parted from what references it, with all of that. */
const MAX_BYTES_OF_ONE = 64 * 1024 * 1024;

interface Lost {
  readonly part: number;
  readonly edge: Edge;
  readonly reference: LostReference;
}

type Context = Pick<OperationContext, 'content' | 'sink' | 'plan'>;

/**
 * Moves the rows of a batch into the archive with all that references them. They are locked, copied and deleted in one
 * transaction: nobody else changes them in between, and what a trigger of ours changes shows in the numbers. References that
 * PostgreSQL sets to NULL or a default are copied from rows that are locked as well.
 */
export function closureMover(context: Context, reached: Reached, filter: Sql): TreatRows {
  const { plan } = context;
  const content = context.content as ArchiveContent;
  const lost = lostReferences(content, reached);
  return async (session, places, size) => {
    const closure = await lockClosure(session, reached, { places, filter }, size);
    if (closure.chosen === 0) return { rows: 0, store: keepsNothing };
    await refuseHeld(session, plan, closure);
    const keeper = partKeeper(context, session, maxBytes(closure, size));
    await keepReferences(keeper, closure, lost);
    for (const rows of closure.rows) {
      const part = plan.relations.findIndex(({ oid }) => oid === rows.relation.oid);
      await keepRows(keeper, rows, part, partOf(content, part).columns);
    }
    await deleteClosure(session, reached, closure);
    return { rows: closure.chosen, included: sum(closure.included), ...stored(keeper, closure) };
  };
}

const maxBytes = ({ chosen }: Closure, size: BatchSize): number =>
  chosen === 1 ? Math.max(MAX_BYTES_OF_ONE, size.maxBytes) : size.maxBytes;

const sum = (counts: readonly { readonly rows: number }[]): number =>
  counts.reduce((all, { rows }) => all + rows, 0);

/** The subject's rows are the batch's own; those of them that only came along are counted beside, without a frame. */
function stored(keeper: PartKeeper, { included, rows }: Closure) {
  let parts: readonly StoredPart[] = [];
  const subject = rows[0]?.relation;
  const own = sum(included.filter(({ relation }) => relation === subject));
  return {
    store: async () => {
      parts = await keeper.store();
      return parts.find(({ part }) => part === 0)?.frame ?? null;
    },
    storeParts: () =>
      Promise.resolve([
        ...(own > 0 ? [{ part: 0, rows: own, frame: null }] : []),
        ...parts.filter(({ part }) => part !== 0),
      ]),
  };
}

async function keepRows(
  keeper: PartKeeper,
  { relation, places }: ClosedRows,
  part: number,
  columns: ArchiveContent['columns'],
): Promise<void> {
  const row = ident('going');
  const values = columns.map(({ name }) => sql`${row}.${ident(name)}`);
  const rows = await keeper.keep(
    part,
    sql`SELECT ${join(values, ', ')} FROM ${rowsOf(relation, row)} WHERE ${rowsAt(relation, places, row)}`,
  );
  if (rows === places.length) return;
  throw new Stop(
    'ROWS_KEPT',
    `Of ${places.length} rows of ${relation.schema}.${relation.name} that were locked ${rows} could be copied. Nothing of this batch is gone.`,
  );
}

function lostReferences({ parts = [] }: ArchiveContent, { edges }: Reached): Lost[] {
  return parts.flatMap(({ number: part, reference }) => {
    const edge = reference && edges.find(({ key }) => key.oid === reference.oid);
    return edge ? [{ part, edge, reference }] : [];
  });
}

async function keepReferences(keeper: PartKeeper, closure: Closure, lost: readonly Lost[]): Promise<void> {
  let { room } = closure;
  for (const { part, edge, reference } of lost) {
    const placesOf = ({ oid }: Edge['child']) =>
      closure.rows.find(({ relation }) => relation.oid === oid)?.places ?? [];
    const parents = placesOf(edge.parent);
    if (parents.length === 0) continue;
    const child = ident('losing');
    const columns = [...reference.identity, ...reference.changed].map((name) => sql`${child}.${ident(name)}`);
    room -= await keeper.keep(
      part,
      sql`SELECT ${join(columns, ', ')} FROM ${rowsOf(edge.child, child)}
           WHERE ${referencesAny(edge, parents, child)} AND NOT ${rowsAt(edge.child, placesOf(edge.child), child)}
           LIMIT ${integer(room + 1)} FOR UPDATE OF ${child}`,
    );
    if (room < 0) throw new BatchTooLarge('ROWS');
  }
}
