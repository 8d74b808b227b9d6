import type { ArchivedKey } from '../domain/archive-content.ts';
import { compileFilter } from '../target/row-filter.ts';
import { fromCatalog, ident, integer, join, type Sql, sql } from '../target/sql.ts';
import type { Restoring, StagedRows } from './restore-rows.ts';

/** Where an archived row is, in StagedRows.from: no table has a column of this name. */
export const PLACE = ident('declutter place');

export interface ChosenRows {
  /** common table expressions, to be put behind WITH RECURSIVE; null: none */
  readonly tables: Sql | null;
  /** Whether the row under the alias "stage" goes back. */
  readonly condition: (part: number) => Sql;
}

const TAKEN = ident('taken');

/** Without a filter all rows; else those of the table that it chooses, and what went into the archive with them. */
export function chosenRows({ spec, content }: Restoring, staged: readonly StagedRows[]): ChosenRows {
  const { where } = spec;
  if (where === null) return { tables: null, condition: () => sql`true` };
  const own = staged.find(({ part }) => part === 0);
  if (own === undefined) return { tables: null, condition: () => sql`false` };
  const filter = compileFilter(where, own.target, sql`stage`);
  if (staged.length === 1 && !content.keys?.some(({ child, parent }) => child === 0 && parent === 0))
    return { tables: null, condition: () => filter };
  const steps = (content.keys ?? []).flatMap((key) => stepBy(key, staged));
  return {
    tables: sql`
      ${TAKEN}(part, place) AS (
        SELECT 0::pg_catalog.int4, stage.${PLACE} FROM ${own.from} AS stage WHERE ${filter}
         UNION
        SELECT next.part, next.place FROM ${TAKEN} JOIN (${join(steps, ' UNION ALL ')}) AS next
            ON next.from_part = ${TAKEN}.part AND next.from_place = ${TAKEN}.place)`,
    condition: (part) =>
      sql`stage.${PLACE} IN (SELECT place FROM ${TAKEN} WHERE ${TAKEN}.part = ${integer(part)})`,
  };
}

/** From the rows of one part to those of another that reference them. */
function stepBy(
  { child, parent, columns, referencedColumns, operators }: ArchivedKey,
  staged: readonly StagedRows[],
): Sql[] {
  const [from, to] = [parent, child].map((number) => staged.find(({ part }) => part === number));
  if (from === undefined || to === undefined) return [];
  const same = columns.map(
    (column, i) =>
      sql`referenced.${ident(referencedColumns[i] as string)} ${fromCatalog(operators[i] as string)} referring.${ident(column)}`,
  );
  return [
    sql`SELECT ${integer(parent)}::pg_catalog.int4 AS from_part, referenced.${PLACE} AS from_place,
               ${integer(child)}::pg_catalog.int4 AS part, referring.${PLACE} AS place
          FROM ${from.from} AS referenced JOIN ${to.from} AS referring ON ${join(same, ' AND ')}`,
  ];
}
