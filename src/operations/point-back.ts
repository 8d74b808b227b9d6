import type { LostReference } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import type { Column } from '../target/catalog-columns.ts';
import { rowsOf } from '../target/reached-tables.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, integer, join, type Sql, sql } from '../target/sql.ts';

/** A key that was set to NULL or a default, with its two tables as they are now. */
export interface Lost {
  readonly part: number;
  readonly reference: LostReference;
  readonly child: Relation;
  readonly parent: Relation;
}

const LOSING = ident('losing');

/**
 * Points rows back to what was restored: those that still have the NULL, default or other row which they got, where the row that they had
 * pointed to is there. Answers with how many.
 */
export async function pointBack(session: Session, lost: Lost, from: Sql): Promise<number> {
  const { reference, child } = lost;
  const defaults = await readDefaults(session, child, reference);
  const sets = reference.changed.map(
    (name, i) => sql`${ident(name)} = ${archived(columnOf(child, name), 'old', i)}`,
  );
  const same = reference.identity.map((name, i) => {
    const column = columnOf(child, name);
    return sql`${own(column)} ${fromCatalog(equality(column))} ${archived(column, 'key', i)}`;
  });
  const unchanged = reference.changed.map((name, i) => {
    const column = columnOf(child, name);
    if (reference.onDelete !== 'REPOINT') return stillHas(column, defaults[i] ?? null);
    return sql`${own(column)} ${fromCatalog(equality(column))} ${archived(column, 'new', i)}`;
  });
  return session.execute(sql`
    UPDATE ${rowsOf(child, LOSING)} SET ${join(sets, ', ')} FROM ${from} AS stage
     WHERE ${join([...same, ...unchanged], ' AND ')} AND ${isThere(lost)}`);
}

function columnOf({ schema, name: table, columns }: Relation, name: string): Column {
  const column = columns.find((one) => one.name === name);
  if (column !== undefined) return column;
  throw new Stop('SCHEMA_DRIFT', `The column ${name} of ${schema}.${table} is not there any more.`, 'FAILED');
}

const own = ({ name }: Column): Sql => sql`${LOSING}.${ident(name)}`;

/** By way of its text: the column may have another type now. */
const archived = ({ type }: Column, kind: 'key' | 'old' | 'new', i: number): Sql =>
  sql`stage.${ident(`${kind}_${i + 1}`)}::pg_catalog.text::${fromCatalog(type)}`;

function equality({ name, comparison }: Column): string {
  if (comparison.eq !== null) return comparison.eq;
  throw new TypeError(`Values of the key column ${name} cannot be compared`);
}

function stillHas(column: Column, expression: string | null): Sql {
  if (expression === null) return sql`${own(column)} IS NULL`;
  const value = sql`(${fromCatalog(expression)})`;
  return sql`(${own(column)} ${fromCatalog(equality(column))} ${value} OR (${own(column)} IS NULL AND ${value} IS NULL))`;
}

/** With the values that are set, and those of the key that never changed. */
function isThere({ reference, child, parent }: Lost): Sql {
  const referenced = ident('referenced');
  const same = reference.columns.map((name, i) => {
    const at = reference.changed.indexOf(name);
    const column = columnOf(child, name);
    const value = at === -1 ? own(column) : archived(column, 'old', at);
    return sql`${referenced}.${ident(reference.referencedColumns[i] as string)} ${fromCatalog(reference.operators[i] as string)} ${value}`;
  });
  return sql`EXISTS (SELECT FROM ${rowsOf(parent, referenced)} WHERE ${join(same, ' AND ')})`;
}

/** As they are now: what a row has got by another default cannot be told from what somebody wrote. */
async function readDefaults(
  session: Session,
  { oid }: Relation,
  { onDelete, changed }: LostReference,
): Promise<(string | null)[]> {
  if (onDelete !== 'SET_DEFAULT') return changed.map(() => null);
  const rows = await session.query<{ name: string; expression: string }>(sql`
    SELECT a.attname AS name, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
      FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
     WHERE d.adrelid = ${integer(oid)} ORDER BY a.attnum`);
  return changed.map((column) => rows.find(({ name }) => name === column)?.expression ?? null);
}
