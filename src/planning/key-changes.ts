import type { PlanNotice } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { fromCatalog, ident, integer, join, type Sql, sql, toText } from '../target/sql.ts';
import { nameOf, notice, type PlanContext } from './plan-context.ts';
import { type Edge, rowsOf } from '../target/reached-tables.ts';
import type { Doomed } from './doomed-rows.ts';

interface Updating {
  readonly name: string;
  readonly table: string;
  readonly columns: readonly string[];
}

/**
 * What keeps SET NULL and SET DEFAULT from doing their work: a column that may not be NULL, and a changed column that other
 * rows reference in their turn (an update that reaches further than deletes are followed).
 */
export async function keyChanges(
  { session }: PlanContext,
  child: Relation,
  edges: readonly Edge[],
  count: (selection: Sql) => Promise<number>,
  { changed }: { readonly changed: (edge: Edge) => Sql },
): Promise<PlanNotice[]> {
  const notices: PlanNotice[] = [];
  const updating = await readUpdating(session, child);
  for (const edge of edges) {
    const { key } = edge;
    const fixed = key.setColumns.filter((name) => isFixed(child, name));
    if (key.onDelete === 'SET_NULL' && fixed.length > 0) notices.push(notNull(edge, fixed));
    for (const further of updating.filter(({ columns }) => overlap(columns, key.setColumns))) {
      const rows = await count(changed(edge));
      if (rows > 0) notices.push(reachesFurther(edge, further, rows));
    }
  }
  return notices;
}

const isFixed = (child: Relation, name: string) =>
  child.columns.some((column) => column.name === name && column.notNull);

const overlap = (a: readonly string[], b: readonly string[]) => a.some((column) => b.includes(column));

const notNull = ({ key, child }: Edge, fixed: readonly string[]): PlanNotice =>
  notice(
    'NOT_NULL_REFERENCE',
    `The foreign key ${key.name} sets ${fixed.join(', ')} of ${nameOf(child)} to NULL, which may not be NULL: the delete would fail.`,
    `ALTER TABLE ${toText(ident(child.schema, child.name))} ${toText(
      join(
        fixed.map((name) => sql`ALTER ${ident(name)} DROP NOT NULL`),
        ', ',
      ),
    )};`,
  );

const reachesFurther = ({ key, child }: Edge, further: Updating, rows: number): PlanNotice =>
  notice(
    'UPDATE_REACHES_FURTHER',
    `${key.name} would change columns of ${rows} rows of ${nameOf(child)} that ${further.table} references in its turn (${further.name}).`,
    `Change or remove those references of ${further.table} first.`,
  );

/**
 * SET DEFAULT needs a row to point to that stays. Only constants are looked at: other defaults may give another value each time.
 */
export async function missingDefault(
  { session, budget }: PlanContext,
  { key, child, parent }: Edge,
  doomed: Doomed,
): Promise<PlanNotice[]> {
  const defaults = await readDefaults(session, child, key.columns);
  if (
    !key.columns.every((column) => key.setColumns.includes(column)) ||
    defaults.some((one) => !isConstant(one))
  )
    return [];
  const alias = ident('parent');
  const same = key.referencedColumns.map(
    (column, i) =>
      sql`${alias}.${ident(column)} ${fromCatalog(key.operators[i] as string)} (${fromCatalog(defaults[i] as string)})`,
  );
  const found = await budget.query(
    session,
    sql`${doomed.prefix} SELECT FROM ${rowsOf(parent, alias)} WHERE ${join(same, ' AND ')} AND ${doomed.condition(parent, alias)} IS NOT TRUE LIMIT 1`,
  );
  if (found === null || found.length > 0) return [];
  return [
    notice(
      'DEFAULT_MISSING',
      `${key.name} sets ${key.columns.join(', ')} of ${nameOf(child)} to ${defaults.join(', ')}, and no row of ${nameOf(parent)} with that key would be left: the delete would fail.`,
      'Leave that row out of the filter, or give the column another default.',
    ),
  ];
}

/** A literal, with or without its type; without a default a column gets NULL, which references nothing. */
const isConstant = (expression: string | null): boolean =>
  expression !== null && expression !== 'NULL' && !/[(]|current_|session_user/i.test(expression);

async function readDefaults(
  session: PlanContext['session'],
  { oid }: Relation,
  columns: readonly string[],
): Promise<(string | null)[]> {
  const rows = await session.query<{ name: string; expression: string }>(sql`
    SELECT a.attname AS name, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
      FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
     WHERE d.adrelid = ${integer(oid)}`);
  return columns.map((column) => rows.find(({ name }) => name === column)?.expression ?? null);
}

/** Keys that reference the table, with the columns that they reference. */
async function readUpdating(session: PlanContext['session'], { oid }: Relation): Promise<Updating[]> {
  return session.query<Updating>(sql`
    SELECT k.conname AS name, k.conrelid::pg_catalog.regclass::pg_catalog.text AS table,
           (SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey)) AS columns
      FROM pg_catalog.pg_constraint k
     WHERE k.contype = 'f' AND k.confrelid = ${integer(oid)} AND k.conparentid = 0 ORDER BY 2, 1`);
}
