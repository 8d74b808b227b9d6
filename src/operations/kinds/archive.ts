import type { OperationSpec } from '../../domain/plan.ts';
import { compileFilter } from '../../target/row-filter.ts';
import { ident, join, type Sql, sql, toBoundStatement } from '../../target/sql.ts';
import {
  type BatchSize,
  BatchTooLarge,
  type BatchWork,
  type Frame,
  type Operation,
  type OperationContext,
} from '../define-operation.ts';
import { createHolder } from '../archive-table.ts';
import { countLines } from '../count-lines.ts';
import { deletable } from '../delete-rows.ts';
import { type Picked, RowPicker } from '../pick-rows.ts';
import { rowHash } from '../row-hash.ts';
import { compress } from '../zstd.ts';

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
    const move = spec.destination.kind === 'FILES' ? moveToFile : moveToTable;
    let picked: Picked;
    return {
      mode: 'BATCHES',
      prepare: () => picker.prepare(),
      treat: async (size) => {
        picked = picker.next(size.units);
        const where = await deletable(session, relation, picked.where, filter);
        const moved = await move(context, sql`DELETE FROM ONLY ${table} WHERE ${where}`, size);
        return { ...moved, units: picked.units, cursor: { ...picked.next } };
      },
      confirm: (rows) => picker.confirm(picked, rows),
      finish: async () => undefined,
    };
  },
} satisfies Operation<Archive>;

interface Moved {
  readonly rows: number;
  readonly frame: Frame | null;
  readonly storeMs: number;
}

const columnList = ({ relation }: Context): Sql =>
  join(
    relation.columns.map((column) => ident(column.name)),
    ', ',
  );

async function moveToFile(context: Context, deletion: Sql, size: BatchSize): Promise<Moved> {
  const statement = toBoundStatement(sql`COPY (${deletion} RETURNING ${columnList(context)}) TO STDOUT`);
  if (statement.settings !== '') await context.session.script(statement.settings);
  const { bytes, rows } = await collect(context, statement, size);
  if (rows === 0) return { rows, frame: null, storeMs: 0 };
  const begun = performance.now();
  const frame = await context.sink.append(await compress(bytes), rows);
  return { rows, frame, storeMs: performance.now() - begun };
}

async function collect(context: Context, statement: ReturnType<typeof toBoundStatement>, size: BatchSize) {
  const chunks: Buffer[] = [];
  let length = 0;
  let rows = 0;
  try {
    for await (const chunk of context.session.copyOut(statement) as AsyncIterable<Buffer>) {
      length += chunk.length;
      rows += countLines(chunk);
      if (length <= size.maxBytes) chunks.push(chunk);
      else chunks.length = 0;
    }
  } catch (error) {
    throw context.session.failure(error);
  }
  if (rows > size.maxRows) throw new BatchTooLarge('ROWS');
  if (length > size.maxBytes) throw new BatchTooLarge('BYTES');
  return { bytes: Buffer.concat(chunks), rows };
}

async function moveToTable(context: Context, deletion: Sql, size: BatchSize): Promise<Moved> {
  const { holder, session } = context;
  if (!holder) throw new TypeError('An archive in a table needs a table');
  const columns = columnList(context);
  const { rows, hash } = await session.one<{ rows: string; hash: string }>(sql`
    WITH gone AS (${deletion} RETURNING ${columns}),
         kept AS (INSERT INTO ${ident(holder.schema, holder.name)} AS kept (${columns}) SELECT ${columns} FROM gone
                  RETURNING ${rowHash(sql`kept`)} AS hash)
    SELECT pg_catalog.count(*)::pg_catalog.text AS rows,
           coalesce(pg_catalog.sum(hash), 0)::pg_catalog.text AS hash FROM kept`);
  if (Number(rows) > size.maxRows) throw new BatchTooLarge('ROWS');
  return {
    rows: Number(rows),
    frame: { segment: 1, start: 0, length: 0, sha256: null, rowHash: hash },
    storeMs: 0,
  };
}
