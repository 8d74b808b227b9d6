import type { OperationSpec } from '../../domain/plan.ts';
import type { Session } from '../../target/session.ts';
import { compileFilter } from '../../target/row-filter.ts';
import { ident, join, type Sql, sql, toBoundStatement, type BoundStatement } from '../../target/sql.ts';
import {
  type BatchSize,
  BatchTooLarge,
  type BatchWork,
  type Operation,
  type OperationContext,
} from '../define-operation.ts';
import type { Frame } from '../../archive/segment-sink.ts';
import { Stop } from '../../domain/stop.ts';
import { createHolder } from '../archive-table.ts';
import { deletable } from '../delete-rows.ts';
import { RowPicker } from '../pick-rows.ts';
import { deletesOverlap, keepsNothing, pickedWork, type TreatRows } from '../picked-work.ts';
import { RowBuffer } from '../row-buffer.ts';
import { rowHash } from '../../archive/row-hash.ts';

type Archive = Extract<OperationSpec, { kind: 'ARCHIVE' }>;
type Context = OperationContext<Archive>;

/** Moves the chosen rows into an archive: what DELETE returns is what is kept, in the same transaction. */
export const archive = {
  kind: 'ARCHIVE',
  counts: 'rowsArchived',
  async open(context: Context): Promise<BatchWork> {
    const { session, relation, spec } = context;
    const table = ident(relation.schema, relation.name);
    const filter = compileFilter(spec.filter, relation);
    const picker = new RowPicker(session, table, filter, spec.pick, context.cursor);
    await picker.open();
    if (spec.destination.kind === 'TABLE') await createHolder(context, spec.destination);
    const move = spec.destination.kind === 'TABLE' ? moveToTable : moveToFile;
    return pickedWork(
      picker,
      async (batchSession, places, size) => {
        const where = await deletable(batchSession, relation, places, filter);
        return move(context, batchSession, sql`DELETE FROM ONLY ${table} WHERE ${where}`, size);
      },
      { overlaps: deletesOverlap(relation) },
    );
  },
} satisfies Operation<Archive>;

type Moved = Awaited<ReturnType<TreatRows>>;

const columnList = ({ relation }: Context): Sql =>
  join(
    relation.columns.map((column) => ident(column.name)),
    ', ',
  );

async function moveToFile(
  context: Context,
  session: Session,
  deletion: Sql,
  size: BatchSize,
): Promise<Moved> {
  const statement = toBoundStatement(sql`COPY (${deletion} RETURNING ${columnList(context)}) TO STDOUT`);
  if (statement.settings !== '') await session.script(statement.settings);
  const { bytes, rows } = await collect(session, statement, size);
  if (rows === 0) return { rows, store: keepsNothing };
  return { rows, store: () => context.sink.append(session, bytes, rows) };
}

async function collect(session: Session, statement: BoundStatement, size: BatchSize) {
  const buffer = bufferOf(session);
  buffer.clear(size.maxBytes);
  const rows = await session.copyOut(statement, buffer.add);
  if (rows > size.maxRows) throw new BatchTooLarge('ROWS');
  if (buffer.isOver) throw new BatchTooLarge('BYTES');
  return { bytes: buffer.bytes, rows };
}

const BUFFERS = new WeakMap<Session, RowBuffer>();

/** Its own for each session: a session's next batch begins only when the bytes of the last one are durable. */
function bufferOf(session: Session): RowBuffer {
  const buffer = BUFFERS.get(session) ?? new RowBuffer();
  BUFFERS.set(session, buffer);
  return buffer;
}

async function moveToTable(
  context: Context,
  session: Session,
  deletion: Sql,
  size: BatchSize,
): Promise<Moved> {
  const { holder } = context;
  if (!holder) throw new TypeError('An archive in a table needs a table');
  const columns = columnList(context);
  const { gone, rows, hash } = await session.one<{ gone: string; rows: string; hash: string }>(sql`
    WITH gone AS (${deletion} RETURNING ${columns}),
         kept AS (INSERT INTO ${ident(holder.schema, holder.name)} AS kept (${columns}) SELECT ${columns} FROM gone
                  RETURNING ${rowHash(sql`kept`)} AS hash)
    SELECT (SELECT pg_catalog.count(*) FROM gone)::pg_catalog.text AS gone, pg_catalog.count(*)::pg_catalog.text AS rows,
           coalesce(pg_catalog.sum(hash), 0)::pg_catalog.text AS hash FROM kept`);
  if (Number(rows) > size.maxRows) throw new BatchTooLarge('ROWS');
  if (gone !== rows) {
    throw new Stop(
      'ROWS_KEPT',
      `A trigger or rule of ${holder.schema}.${holder.name} keeps rows out of the archive. Remove it and resume.`,
    );
  }
  const frame: Frame = { segment: 1, start: 0, length: 0, sha256: null, rowHash: hash };
  return { rows: Number(rows), store: () => Promise.resolve(frame) };
}
