import { rowHash } from '../archive/row-hash.ts';
import type { Frame } from '../archive/segment-sink.ts';
import { Stop } from '../domain/stop.ts';
import type { Session } from '../target/session.ts';
import { type BoundStatement, ident, join, type Sql, sql, toBoundStatement } from '../target/sql.ts';
import { type BatchSize, BatchTooLarge, type OperationContext } from './define-operation.ts';
import { keepsNothing, type TreatRows } from './picked-work.ts';
import { bufferOf } from './row-buffer.ts';

type Moved = Awaited<ReturnType<TreatRows>>;

/** Carries out a DELETE and keeps what it returns in the run's archive, in the same transaction. */
export const moveRows = (
  context: OperationContext,
  session: Session,
  deletion: Sql,
  size: BatchSize,
): Promise<Moved> => keepRows(context, session, sql`${deletion} RETURNING ${columnList(context)}`, size);

/** Keeps what the statement gives, the columns of the table in their order, in the run's archive. */
export function keepRows(
  context: OperationContext,
  session: Session,
  rows: Sql,
  size: BatchSize,
): Promise<Moved> {
  return context.holder
    ? keepInTable(context, context.holder, session, rows, size)
    : keepInFile(context, session, rows, size);
}

const columnList = ({ relation }: OperationContext): Sql =>
  join(
    relation.columns.map((column) => ident(column.name)),
    ', ',
  );

async function keepInFile(
  context: OperationContext,
  session: Session,
  given: Sql,
  size: BatchSize,
): Promise<Moved> {
  const statement = toBoundStatement(sql`COPY (${given}) TO STDOUT`);
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
  if (buffer.isOver) throw rows === 1 ? rowTooLarge() : new BatchTooLarge('BYTES');
  return { bytes: buffer.bytes, rows };
}

const rowTooLarge = (): Stop =>
  new Stop(
    'ROW_TOO_LARGE',
    'A single row has more than 256 MB as text. Nothing of it has changed; leave it out by the filter, or archive it into a table.',
  );

async function keepInTable(
  context: OperationContext,
  holder: { readonly schema: string; readonly name: string },
  session: Session,
  given: Sql,
  size: BatchSize,
): Promise<Moved> {
  const columns = columnList(context);
  const { gone, rows, hash } = await session.one<{ gone: string; rows: string; hash: string }>(sql`
    WITH gone AS (${given}),
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
