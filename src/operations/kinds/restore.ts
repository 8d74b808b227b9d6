import type { OperationSpec } from '../../domain/plan.ts';
import { readRelation, type Relation } from '../../target/catalog.ts';
import { ident, sql, toText } from '../../target/sql.ts';
import { release } from '../../release.ts';
import { columnDefinitions } from '../archive-table.ts';
import {
  BatchTooLarge,
  type BatchWork,
  type Json,
  type Operation,
  type OperationContext,
  type Piece,
  type Treated,
} from '../define-operation.ts';
import type { SourceArchive, StoredFrame } from '../../archive/source-archive.ts';
import { Stop } from '../../domain/stop.ts';
import { RowPicker } from '../pick-rows.ts';
import { keepsNothing, pickedWork } from '../picked-work.ts';
import { insertRows, type Restoring } from '../restore-rows.ts';

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
  const restoring = { session, spec: context.spec, source, target };
  const columns = source.content.columns.map((column) => ({ ...column, collation: null }));
  await session.transaction(() =>
    session.execute(
      sql`CREATE TEMPORARY TABLE IF NOT EXISTS declutter_stage (${columnDefinitions(columns)}) ON COMMIT DELETE ROWS`,
    ),
  );
  const skips = new SkippedRows(context.cursor);
  let picked = frameOf(context.cursor);
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
      const piece: Piece = { treat: () => putBack(restoring, skips, frames, end) };
      ends.set(piece, end);
      picked = end;
      return piece;
    },
    confirm: (piece) => {
      confirmed = ends.get(piece) as number;
      skips.confirm();
    },
    rewind: () => (picked = confirmed),
    finish: () => moveSequences(context, target),
    remark: () => skips.remark,
  };
}

/** How many frames are back. */
const frameOf = (cursor: Json): number =>
  typeof cursor === 'number' ? cursor : ((cursor as { frame: number } | null)?.frame ?? 0);

async function putBack(
  restoring: Restoring,
  skips: SkippedRows,
  frames: readonly StoredFrame[],
  end: number,
): Promise<Treated> {
  for (const frame of frames) {
    const bytes = await frame.read();
    await restoring.session.copyIn(toText(sql`COPY ${STAGE} FROM STDIN`), bytes);
    release(bytes);
  }
  const { rows, skipped } = await insertRows(restoring, STAGE);
  const units = frames.reduce((sum, frame) => sum + frame.rows, 0);
  return { units, rows, cursor: { frame: end, ...skips.with(skipped) }, store: keepsNothing };
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
  const skips = new SkippedRows(context.cursor);
  const work = pickedWork(
    picker,
    async (batchSession, places, size) => {
      const from = sql`(SELECT * FROM ONLY ${holder} WHERE ${places})`;
      const { archived } = await batchSession.one<{ archived: number }>(
        sql`SELECT pg_catalog.count(*)::pg_catalog.int4 AS archived FROM ${from} AS stage`,
      );
      if (archived > size.maxRows) throw new BatchTooLarge('ROWS');
      const { rows, skipped } = await insertRows(
        { session: batchSession, spec: context.spec, source, target },
        from,
      );
      return { rows, store: keepsNothing, mark: skips.with(skipped) };
    },
    { overlaps: false, finish: () => moveSequences(context, target) },
  );
  return {
    ...work,
    get hasNext() {
      return work.hasNext;
    },
    confirm: (piece, rows) => {
      work.confirm(piece, rows);
      skips.confirm();
    },
    remark: () => skips.remark,
  };
}

/** Rows that were left out, counted along with the cursor, so that whoever goes on knows of those before. One batch is under way at a time. */
class SkippedRows {
  #confirmed: number;
  #open = 0;

  constructor(cursor: Json) {
    this.#confirmed = (cursor as { skipped?: number } | null)?.skipped ?? 0;
  }

  with(skipped: number): { readonly skipped: number } {
    this.#open = skipped;
    return { skipped: this.#confirmed + skipped };
  }

  confirm(): void {
    this.#confirmed += this.#open;
    this.#open = 0;
  }

  get remark(): string | null {
    if (this.#confirmed === 0) return null;
    return `${this.#confirmed} archived rows were left out: their keys are taken. To see them, restore into a side table.`;
  }
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
       WHERE (top.value > now.last_value OR top.value = now.last_value AND NOT now.is_called)
         AND (SELECT seqincrement FROM pg_catalog.pg_sequence
               WHERE seqrelid = ${toText(sequenceName)}::pg_catalog.regclass) > 0`);
  }
}
