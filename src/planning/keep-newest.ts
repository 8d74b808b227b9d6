import type { RowFilter } from '../domain/filter.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { badInput } from '../errors.ts';
import type { Column } from '../target/catalog-columns.ts';
import type { Relation } from '../target/catalog.ts';
import { ownRows } from '../target/reached-tables.ts';
import { fromCatalog, ident, integer, join, sql, toText } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import type { KeepNewestInput } from '../domain/plan-inputs.ts';

const MAX_KEPT = 1_000_000;
/** In a table of this size no index is needed to look for newer rows. */
const SMALL_PAGES = 100;

export interface KeepNewest {
  readonly filter: RowFilter;
  readonly blockers: readonly PlanNotice[];
}

/**
 * The filter without the newest rows of the table. For the whole table that is a literal bound, found now: rows that come later
 * only make more of them newer. For each value of per, every batch looks for newer rows. Rows that tie with the last one kept, and rows without
 * a value, are kept too.
 * @throws BAD_USER_INPUT
 */
export async function keepNewest(
  context: PlanContext,
  relation: Relation,
  filter: RowFilter,
  input: KeepNewestInput | null | undefined,
): Promise<KeepNewest> {
  if (input == null) return { filter, blockers: [] };
  const newest = checked(input, relation);
  const keepsGroups = newest.per.length > 0;
  const bound = keepsGroups ? null : await boundOf(context, relation, newest.by, newest.count);
  const rest: RowFilter =
    bound === null ? { not: { newest } } : { column: newest.by, op: 'LT', value: bound };
  return {
    filter: { all: [filter, rest] },
    blockers: keepsGroups && !isServed(relation, newest) ? [unserved(relation, newest)] : [],
  };
}

type Newest = { readonly by: string; readonly count: number; readonly per: readonly string[] };

function checked({ by, count, per }: KeepNewestInput, relation: Relation): Newest {
  if (!Number.isSafeInteger(count) || count < 1 || count > MAX_KEPT)
    throw badInput(`keepNewest.count must be a whole number from 1 to ${MAX_KEPT}.`);
  const columns = [...new Set(per ?? [])];
  const find = (name: string): Column => {
    const column = relation.columns.find((one) => one.name === name);
    if (column === undefined)
      throw badInput(`The table ${nameOf(relation)} has no column "${name}" (keepNewest).`, { column: name });
    return column;
  };
  if (find(by).comparison.gt === null)
    throw badInput(`Values of "${by}" have no order in PostgreSQL (keepNewest).`);
  for (const name of columns)
    if (find(name).comparison.eq === null)
      throw badInput(`Values of "${name}" cannot be compared in PostgreSQL (keepNewest).`);
  return { by, count, per: columns };
}

/** The value of the last row that is kept; null: there are fewer rows, or no time to find it. */
async function boundOf(
  { session, budget }: PlanContext,
  relation: Relation,
  by: string,
  count: number,
): Promise<string | null> {
  const column = relation.columns.find(({ name }) => name === by) as Column;
  const value = column.comparison.recast
    ? sql`${ident(by)}::${fromCatalog(column.comparison.type)}`
    : ident(by);
  const rows = await budget.query<{ bound: string }>(
    session,
    sql`SELECT (${value})::pg_catalog.text AS bound FROM ${ownRows(relation)}
         WHERE ${ident(by)} IS NOT NULL ORDER BY ${value} USING ${fromCatalog(column.comparison.gt as string)}
        OFFSET ${integer(count - 1)} LIMIT 1`,
  );
  return rows?.[0]?.bound ?? null;
}

/** An index that has the columns of per in front, in any order, and then the column that tells the newest. */
function isServed({ pages, indexes }: Relation, { by, per }: Newest): boolean {
  return (
    pages <= SMALL_PAGES ||
    indexes.some(
      ({ method, isValid, predicate, columns }) =>
        method === 'btree' &&
        isValid &&
        predicate === null &&
        columns[per.length] === by &&
        per.every((column) => columns.slice(0, per.length).includes(column)),
    )
  );
}

const unserved = (relation: Relation, { by, per }: Newest): PlanNotice =>
  notice(
    'KEEP_NEWEST_INDEX',
    `No index of ${nameOf(relation)} leads to the newest rows by ${by} for each ${per.join(', ')}: every row would be compared with many others.`,
    `CREATE INDEX CONCURRENTLY ON ${toText(ident(relation.schema, relation.name))} (${toText(
      join(
        [...per, by].map((name) => ident(name)),
        ', ',
      ),
    )});`,
  );
