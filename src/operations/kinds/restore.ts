import type { OperationSpec } from '../../domain/plan.ts';
import { readRelation, type Relation } from '../../target/catalog.ts';
import { compileFilter } from '../../target/row-filter.ts';
import { fromCatalog, ident, join, type Sql, sql, toText } from '../../target/sql.ts';
import { release } from '../../release.ts';
import { countLines } from '../../archive/count-lines.ts';
import { columnDefinitions } from '../archive-table.ts';
import {
  BatchTooLarge,
  type BatchWork,
  type Operation,
  type OperationContext,
  type Piece,
  type Treated,
} from '../define-operation.ts';
import type { SourceArchive, StoredFrame } from '../../archive/source-archive.ts';
import { Stop } from '../../domain/stop.ts';
import { RowPicker } from '../pick-rows.ts';
import { keepsNothing, pickedWork } from '../picked-work.ts';

type Restore = Extract<OperationSpec, { kind: 'RESTORE' }>;
type Context = OperationContext<Restore>;

const STAGE = ident('pg_temp', 'declutter_stage');

/** Puts archived rows back, by COPY into a temporary table and INSERT from there; the archive stays as it is. */
export const restore = {
  kind: 'RESTORE',
  counts: 'rowsRestored',
  async open(context: Context): Promise<BatchWork> {
    const source = context.source;
    if (!source) throw new TypeError('A restore needs an archive');
    const target = await targetTable(context, source);
    return source.content.holder ? fromTable(context, source, target) : fromFrames(context, source, target);
  },
} satisfies Operation<Restore>;

/** The source as it is today, or the side table, made when absent. */
async function targetTable(context: Context, source: SourceArchive): Promise<Relation> {
  const { session, spec } = context;
  if (spec.into === 'SIDE_TABLE') {
    const columns = source.content.columns.map((column) => ({ ...column, collation: null }));
    await session.transaction(() =>
      session.execute(
        sql`CREATE TABLE IF NOT EXISTS ${ident(spec.schema, spec.table)} (${columnDefinitions(columns)})`,
      ),
    );
  }
  const relation = await session.transaction(() => readRelation(session, spec.schema, spec.table));
  if (!relation)
    throw new Stop('SCHEMA_DRIFT', `The table ${spec.schema}.${spec.table} is not there any more.`, 'FAILED');
  return relation;
}

async function fromFrames(context: Context, source: SourceArchive, target: Relation): Promise<BatchWork> {
  const { session } = context;
  const insert = insertion(context, source, target, STAGE);
  const columns = source.content.columns.map((column) => ({ ...column, collation: null }));
  await session.transaction(() =>
    session.execute(
      sql`CREATE TEMPORARY TABLE IF NOT EXISTS declutter_stage (${columnDefinitions(columns)}) ON COMMIT DELETE ROWS`,
    ),
  );
  let picked = (context.cursor as number | null) ?? 0;
  let confirmed = picked;
  const ends = new Map<Piece, number>();
  return {
    mode: 'BATCHES',
    overlaps: false, // the stage belongs to this one session
    get hasNext() {
      return picked < source.frames.length;
    },
    prepare: () => Promise.resolve(false),
    pick: (size) => {
      const frames = source.frames.slice(picked, upTo(source, picked, size.units));
      const end = picked + frames.length;
      const piece: Piece = { treat: () => putBack(context, insert, frames, end) };
      ends.set(piece, end);
      picked = end;
      return piece;
    },
    confirm: (piece) => (confirmed = ends.get(piece) as number),
    rewind: () => (picked = confirmed),
    finish: () => moveSequences(context, target),
  };
}

async function putBack(
  context: Context,
  insert: Sql,
  frames: readonly StoredFrame[],
  end: number,
): Promise<Treated> {
  let archived = 0;
  for (const frame of frames) {
    const bytes = await frame.read();
    archived += countLines(bytes);
    await context.session.copyIn(toText(sql`COPY ${STAGE} FROM STDIN`), bytes);
    release(bytes);
  }
  const rows = await context.session.execute(insert);
  assertAllBack(context, rows, archived);
  const units = frames.reduce((sum, frame) => sum + frame.rows, 0);
  return { units, rows, cursor: end, store: keepsNothing };
}

/** As many whole frames as hold the wanted rows; one at least. */
function upTo(source: SourceArchive, from: number, rows: number): number {
  let end = from;
  let sum = 0;
  while (end < source.frames.length) {
    sum += source.frames[end]?.rows ?? 0;
    if (end > from && sum > rows) break;
    end += 1;
  }
  return end;
}

async function fromTable(context: Context, source: SourceArchive, target: Relation): Promise<BatchWork> {
  const { session } = context;
  const { schema, name } = source.content.holder as { schema: string; name: string };
  const holder = ident(schema, name);
  const picker = new RowPicker(session, holder, sql`true`, 'HEAP_RANGES', context.cursor, { lists: false });
  await picker.open();
  return pickedWork(
    picker,
    async (batchSession, places, size) => {
      const from = sql`(SELECT * FROM ONLY ${holder} WHERE ${places})`;
      const { archived } = await batchSession.one<{ archived: number }>(
        sql`SELECT pg_catalog.count(*)::pg_catalog.int4 AS archived FROM ${from} AS stage`,
      );
      if (archived > size.maxRows) throw new BatchTooLarge('ROWS');
      const rows = await batchSession.execute(insertion(context, source, target, from));
      assertAllBack(context, rows, archived);
      return { rows, store: keepsNothing };
    },
    { overlaps: false, finish: () => moveSequences(context, target) },
  );
}

/** Without a filter or a rule for conflicts every row comes back, or the batch does not count. */
function assertAllBack({ spec }: Context, rows: number, archived: number): void {
  if (spec.where !== null || spec.onConflict === 'SKIP' || rows === archived) return;
  throw new Stop(
    'ROWS_KEPT',
    `Of ${archived} archived rows ${rows} were put back: a trigger or rule of ${spec.schema}.${spec.table} keeps the others out. ` +
      'Change it and resume, or cancel and restore into a side table.',
  );
}

/** Columns are matched by name; generated ones make themselves, and identities keep their old values. */
function insertion({ spec }: Context, source: SourceArchive, target: Relation, from: Sql): Sql {
  const archived = new Map(source.content.columns.map((column) => [column.name, column.type]));
  const columns = target.columns.filter((column) => !column.generated && archived.has(column.name));
  const names = columns.map((column) => ident(column.name));
  const values = columns.map((column) => {
    const value = sql`stage.${ident(column.name)}`;
    return archived.get(column.name) === column.type
      ? value
      : sql`${value}::pg_catalog.text::${fromCatalog(column.type)}`;
  });
  const where = spec.where ? sql`WHERE ${compileFilter(spec.where, target, sql`stage`)}` : sql``;
  const onConflict = spec.onConflict === 'SKIP' ? sql`ON CONFLICT DO NOTHING` : sql``;
  return sql`INSERT INTO ${ident(target.schema, target.name)} (${join(names, ', ')}) OVERRIDING SYSTEM VALUE
    SELECT ${join(values, ', ')} FROM ${from} AS stage ${where} ${onConflict}`;
}

/** A sequence that lags behind the restored values would hand them out again; it is moved on, never back. */
async function moveSequences({ session }: Context, target: Relation): Promise<void> {
  for (const { name, sequence } of target.columns) {
    if (!sequence) continue;
    const sequenceName = ident(sequence.schema, sequence.name);
    await session.query(sql`
      SELECT pg_catalog.setval(${toText(sequenceName)}::pg_catalog.regclass, top.value)
        FROM (SELECT pg_catalog.max(${ident(name)})::pg_catalog.int8 AS value FROM ONLY ${ident(target.schema, target.name)}) AS top,
             ${sequenceName} AS now
       WHERE top.value > now.last_value
         AND (SELECT seqincrement FROM pg_catalog.pg_sequence
               WHERE seqrelid = ${toText(sequenceName)}::pg_catalog.regclass) > 0`);
  }
}
