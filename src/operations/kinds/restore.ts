import type { OperationSpec } from '../../domain/plan.ts';
import type { Relation } from '../../target/catalog.ts';
import { ident, type Sql, sql, toText } from '../../target/sql.ts';
import {
  BatchTooLarge,
  type BatchWork,
  type Json,
  type Operation,
  type OperationContext,
  type Piece,
  type StoredPart,
  type Treated,
} from '../define-operation.ts';
import type { SourceArchive, StoredBatch } from '../../archive/source-archive.ts';
import { RowPicker } from '../pick-rows.ts';
import { keepsNothing, pickedWork } from '../picked-work.ts';
import { type Lost, pointBack } from '../point-back.ts';
import { insertRows, type Restoring } from '../restore-rows.ts';
import { lostReferences, type RestoredTable, restoredTables } from '../restored-tables.ts';
import { SkippedRows } from '../skipped-rows.ts';
import { makeStages, rowsIn, stageBatches } from '../stage-batches.ts';

type Restore = Extract<OperationSpec, { kind: 'RESTORE' }>;
type Context = OperationContext<Restore>;

interface Scene extends Restoring {
  readonly source: SourceArchive;
  readonly tables: readonly RestoredTable[];
  readonly lost: readonly Lost[];
  readonly skips: SkippedRows;
}

/** Puts archived rows back, by COPY into temporary tables and INSERT from there; the archive stays as it is. */
export const restore = {
  kind: 'RESTORE',
  counts: 'rowsRestored',
  async open({ session, spec, source, cursor }: Context): Promise<BatchWork> {
    if (!source) throw new TypeError('A restore needs an archive');
    const { content } = source;
    const tables = await restoredTables(session, spec, content);
    const lost = await lostReferences(session, spec, content, tables);
    const scene: Scene = { session, spec, content, source, tables, lost, skips: new SkippedRows(cursor) };
    const byPlace = content.holder !== null && content.batchColumn === undefined;
    return byPlace ? fromTable(scene, cursor) : fromBatches(scene, cursor);
  },
} satisfies Operation<Restore>;

/**
 * Batch by batch, the last one first: what a batch took along can reference what went in later ones, and never what had gone
 * before.
 */
async function fromBatches(scene: Scene, cursor: Json): Promise<BatchWork> {
  const { session, source, tables, skips } = scene;
  if (source.content.holder === null) await makeStages(session, source.content);
  const order = orderOf(source, cursor);
  let picked = order.done;
  let confirmed = picked;
  const ends = new Map<Piece, number>();
  return {
    mode: 'BATCHES',
    overlaps: false, // the stages belong to this one session
    get hasNext() {
      return picked < order.batches.length;
    },
    prepare: () => Promise.resolve(false),
    pick: (size) => {
      const batches = order.batches.slice(picked, upTo(order.batches, picked, size.units));
      const end = picked + batches.length;
      const piece: Piece = { treat: () => putBack(scene, batches, { [order.name]: end }) };
      ends.set(piece, end);
      picked = end;
      return piece;
    },
    confirm: (piece) => {
      confirmed = ends.get(piece) as number;
      skips.confirm();
    },
    rewind: () => (picked = confirmed),
    finish: () => moveSequences(scene, tables),
    remark: () => skips.remark,
  };
}

interface Order {
  readonly batches: readonly StoredBatch[];
  /** how many of them are back */
  readonly done: number;
  /** what the cursor calls that */
  readonly name: string;
}

/** A run of an earlier version goes on as it began, with the first batch first. */
function orderOf({ batches }: SourceArchive, cursor: Json): Order {
  const { batch = 0, frame } = (typeof cursor === 'number' ? { frame: cursor } : (cursor ?? {})) as {
    readonly batch?: number;
    readonly frame?: number;
  };
  return frame === undefined
    ? { batches: batches.toReversed(), done: batch, name: 'batch' }
    : { batches, done: frame, name: 'frame' };
}

async function putBack(
  scene: Scene,
  batches: readonly StoredBatch[],
  cursor: { readonly [name: string]: number },
): Promise<Treated> {
  const { session, content, tables, skips } = scene;
  const sources = await stageBatches(session, content, batches);
  const staged = tables.flatMap((table) => {
    const from = sources.get(table.part);
    return from === undefined ? [] : [{ ...table, from }];
  });
  const { rows, skipped } = await insertRows(scene, staged);
  const { parts, unpointed } = await pointAllBack(scene, sources);
  const units = batches.reduce((sum, batch) => sum + batch.rows, 0);
  return {
    units,
    rows,
    cursor: { ...cursor, ...skips.with({ skipped, unpointed }) },
    store: keepsNothing,
    storeParts: () => Promise.resolve(parts),
  };
}

/** In the other order than they were lost in. A filter leaves references alone whose rows it leaves out. */
async function pointAllBack({ session, spec, lost }: Scene, sources: ReadonlyMap<number, Sql>) {
  const parts: StoredPart[] = [];
  let unpointed = 0;
  for (const one of lost.toReversed()) {
    const from = sources.get(one.part);
    if (from === undefined) continue;
    const { lines } = await session.one<{ lines: number }>(
      sql`SELECT pg_catalog.count(*)::pg_catalog.int4 AS lines FROM ${from} AS stage`,
    );
    const rows = await pointBack(session, one, from);
    if (rows > 0) parts.push({ part: one.part, rows, frame: null });
    if (spec.where === null) unpointed += lines - rows;
  }
  return { parts, unpointed };
}

/** As many whole batches as hold the wanted rows; one at least. */
function upTo(batches: readonly StoredBatch[], from: number, rows: number): number {
  let end = from;
  let sum = 0;
  while (end < batches.length) {
    sum += batches[end]?.rows ?? 0;
    if (end > from && sum > rows) break;
    end += 1;
  }
  return end;
}

/** Rows that never reference each other, by their places. */
async function fromTable(scene: Scene, cursor: Json): Promise<BatchWork> {
  const { session, content, tables, skips } = scene;
  const { schema, name } = content.holder as { schema: string; name: string };
  const picker = new RowPicker(session, ident(schema, name), sql`true`, 'HEAP_RANGES', cursor, {
    lists: false,
  });
  await picker.open();
  const [table] = tables as readonly [RestoredTable];
  const work = pickedWork(
    picker,
    async (batchSession, places, size) => {
      const from = sql`(${rowsIn(content, 0, places)})`;
      const { archived } = await batchSession.one<{ archived: number }>(
        sql`SELECT pg_catalog.count(*)::pg_catalog.int4 AS archived FROM ${from} AS stage`,
      );
      if (archived > size.maxRows) throw new BatchTooLarge('ROWS');
      const { rows, skipped } = await insertRows({ ...scene, session: batchSession }, [{ ...table, from }]);
      return { rows, store: keepsNothing, mark: skips.with({ skipped, unpointed: 0 }) };
    },
    { overlaps: false, finish: () => moveSequences(scene, tables) },
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

async function moveSequences(scene: Scene, tables: readonly RestoredTable[]): Promise<void> {
  for (const { target } of tables) await moveSequencesOf(scene, target);
}

/** A sequence that lags behind the restored values would hand them out again; it is moved on, never back. */
async function moveSequencesOf({ session }: Scene, target: Relation): Promise<void> {
  const only = target.kind === 'PARTITIONED' ? sql`` : sql`ONLY `;
  for (const { name, sequence } of target.columns) {
    if (!sequence) continue;
    const sequenceName = ident(sequence.schema, sequence.name);
    await session.query(sql`
      SELECT pg_catalog.setval(${toText(sequenceName)}::pg_catalog.regclass, top.value)
        FROM (SELECT pg_catalog.max(${ident(name)})::pg_catalog.int8 AS value FROM ${only}${ident(target.schema, target.name)}) AS top,
             ${sequenceName} AS now
       WHERE (top.value > now.last_value OR top.value = now.last_value AND NOT now.is_called)
         AND (SELECT seqincrement FROM pg_catalog.pg_sequence
               WHERE seqrelid = ${toText(sequenceName)}::pg_catalog.regclass) > 0`);
  }
}
