import type { Relation } from '../target/catalog.ts';
import { ident, integer, type Sql, sql } from '../target/sql.ts';
import { ownRows } from '../target/reached-tables.ts';
import { estimateRows } from './budget.ts';
import type { PlanContext } from './plan-context.ts';

export interface MeasuredRows {
  readonly rows: number;
  readonly rowsAreExact: boolean;
  readonly tableRows: number;
  readonly share: number;
  /** of the rows themselves, without indexes */
  readonly bytes: number;
  readonly sample: readonly string[];
}

export const SAMPLE_ROWS = 100;
const SIZED_ROWS = 1_000;
/** A row as JSON beyond this is left out: it would fill the plan. */
const MAX_SAMPLE_BYTES = 16_384;
/** The line pointer of a row in its block. */
const LINE_POINTER_BYTES = 4;

/** Counts what the filter finds: exactly within the budget, by PostgreSQL's estimate past it. */
export async function measureRows(
  context: PlanContext,
  relation: Relation,
  filter: Sql,
): Promise<MeasuredRows> {
  const { session, budget } = context;
  const matching = sql`FROM ${ownRows(relation)} WHERE ${filter}`;
  const exact = await budget.count(
    session,
    sql`SELECT pg_catalog.count(*)::pg_catalog.text AS count ${matching}`,
  );
  const rows = exact ?? (await estimateRows(session, sql`SELECT ${matching}`));
  const tableRows = Math.max(rows, await countTable(context, relation));
  const { sample, rowBytes } =
    rows === 0 ? { sample: [], rowBytes: 0 } : await sampleRows(context, relation, filter);
  const averageBytes = rowBytes ?? (tableRows === 0 ? 0 : relation.heapBytes / tableRows);
  return {
    rows,
    rowsAreExact: exact !== null,
    tableRows,
    share: tableRows === 0 ? 0 : rows / tableRows,
    bytes: Math.round(rows * averageBytes),
    sample,
  };
}

async function countTable({ session, budget }: PlanContext, relation: Relation): Promise<number> {
  const exact = await budget.count(
    session,
    sql`SELECT pg_catalog.count(*)::pg_catalog.text AS count FROM ${ownRows(relation)}`,
  );
  if (exact !== null) return exact;
  return relation.estimatedRows >= 0
    ? relation.estimatedRows
    : estimateRows(session, sql`SELECT FROM ${ownRows(relation)}`);
}

/** The first rows as PostgreSQL itself writes them, and how large such rows are with what lies in TOAST. */
async function sampleRows({ session, budget }: PlanContext, relation: Relation, filter: Sql) {
  const record = ident(unusedName(relation));
  const first = sql`SELECT ${record} AS record FROM ${ownRows(relation)} AS ${record} WHERE ${filter}`;
  const rows = await budget.query<{ bytes: number; row: string | null }>(
    session,
    sql`
      SELECT bytes, CASE WHEN number <= ${integer(SAMPLE_ROWS)} THEN
               CASE WHEN bytes <= ${integer(MAX_SAMPLE_BYTES)} THEN pg_catalog.row_to_json(record)::pg_catalog.text
                    ELSE pg_catalog.json_build_object('omitted', 'a row of ' || bytes || ' bytes')::pg_catalog.text END END AS row
        FROM (SELECT record, pg_catalog.pg_column_size(record) AS bytes, pg_catalog.row_number() OVER () AS number
                FROM (${first} LIMIT ${integer(SIZED_ROWS)}) AS first) AS sized
       ORDER BY number`,
  );
  if (rows === null || rows.length === 0) return { sample: [], rowBytes: null };
  const total = rows.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    sample: rows.flatMap(({ row }) => (row === null ? [] : [row])),
    rowBytes: total / rows.length + LINE_POINTER_BYTES,
  };
}

/** A column of the same name would be taken for the whole row. */
function unusedName({ columns }: Relation): string {
  let name = 'whole_row';
  while (columns.some((column) => column.name === name)) name += '_';
  return name;
}
