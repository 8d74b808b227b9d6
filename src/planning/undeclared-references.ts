import { pointerOf, singularForms, snakeCase } from '../analysis/reference-names.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { listArchiveHolders } from '../store/archive-holders.ts';
import type { Column } from '../target/catalog-columns.ts';
import { type Relation, readRelationByOid } from '../target/catalog.ts';
import { fromCatalog, ident, type Sql, sql } from '../target/sql.ts';
import { notice, type PlanContext } from './plan-context.ts';
import type { Reached } from '../target/reached-tables.ts';

/** A column that seems to point to a table's primary key, by its name and type, and has no foreign key. */
export interface UndeclaredReference {
  readonly parent: Relation;
  readonly key: string;
  readonly child: Relation;
  readonly column: string;
  /** Whether the rows that the aliases stand for belong together. */
  readonly condition: (parent: Sql, child: Sql) => Sql;
}

export interface Undeclared {
  readonly references: readonly UndeclaredReference[];
  readonly warnings: readonly PlanNotice[];
}

/** More columns than this are named like a pointer to everything, and tell nothing. */
const MAX_REFERENCES = 50;

/** References that nobody declared to the tables whose rows would go. */
export async function undeclaredReferences(context: PlanContext, { tables }: Reached): Promise<Undeclared> {
  const keyed = tables.flatMap((parent) => {
    const [name, ...more] = parent.primaryKey ?? [];
    const key = more.length > 0 ? undefined : parent.columns.find((column) => column.name === name);
    return key === undefined ? [] : [{ parent, key }];
  });
  if (keyed.length === 0) return { references: [], warnings: [] };
  const candidates = await readCandidates(context);
  const known = new Set(candidates.map(({ table }) => snakeCase(table)).flatMap(singularForms));
  const found = keyed
    .flatMap(({ parent, key }) =>
      candidates
        .filter((candidate) => candidate.column !== null && pointsTo(candidate, parent, key, known))
        .map((candidate) => ({ parent, key, candidate })),
    )
    .slice(0, MAX_REFERENCES);
  const unread = found.filter(({ candidate }) => !candidate.readable);
  const references: UndeclaredReference[] = [];
  for (const { parent, key, candidate } of found) {
    if (!candidate.readable) continue;
    const child = await context.session.transaction(() => readRelationByOid(context.session, candidate.oid));
    const column = child?.columns.find(({ name }) => name === candidate.column);
    const equals = column && equality(key, column);
    if (child == null || column === undefined || equals == null) continue;
    references.push({ parent, key: key.name, child, column: column.name, condition: equals });
  }
  return {
    references,
    warnings: unread.length === 0 ? [] : [cannotRead(unread.map(({ candidate }) => candidate))],
  };
}

const cannotRead = (candidates: readonly Candidate[]): PlanNotice =>
  notice(
    'REFERENCES_UNREAD',
    `Columns that may reference the rows, by their names, could not be read: ${candidates.map(({ schema, table, column }) => `${schema}.${table}.${column ?? ''}`).join(', ')}.`,
    'GRANT SELECT on these tables, as a role that sees all of their rows, to have them counted.',
  );

interface Candidate {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** null: the table is there, none of its columns can be a reference */
  readonly column: string | null;
  readonly readable: boolean;
}

/** Columns of user tables that no foreign key speaks for; tables without any too, for their names. */
async function readCandidates({ session, deps, database }: PlanContext): Promise<Candidate[]> {
  const holders = await listArchiveHolders(deps.store, database.id);
  const rows = await session.transaction(() => session.query<Candidate & { parents: string[] }>(CANDIDATES));
  const isHolder = ({ schema, table }: { schema: string; table: string }) =>
    holders.some((holder) => holder.schema === schema && holder.name === table);
  // Archived rows reference what was archived before them; that is as it should be.
  const kept = new Set(rows.filter(isHolder).flatMap(({ parents }) => parents));
  return rows.filter((row) => !isHolder(row) && !kept.has(`${row.schema}.${row.table}`));
}

const CANDIDATES = sql`
  SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS table, a.attname AS column,
         pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
           AND NOT pg_catalog.row_security_active(c.oid) AS readable,
         ARRAY(SELECT pn.nspname || '.' || p.relname
                 FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
                 JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE i.inhrelid = c.oid)::pg_catalog.text[] AS parents
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                      WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)
                        AND EXISTS (SELECT FROM pg_catalog.pg_trigger g
                                     WHERE g.tgconstraint = k.oid AND g.tgenabled IN ('O', 'A')))
   WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
     AND n.nspname <> 'declutter' AND n.nspname <> 'information_schema' AND NOT pg_catalog.starts_with(n.nspname, 'pg_')
   ORDER BY n.nspname, c.relname, a.attnum`;

/** By which columns everything can be named; they tell nothing about what they belong to. */
const PLAIN = new Set([
  'id',
  'uuid',
  'guid',
  'key',
  'code',
  'no',
  'nr',
  'number',
  'ref',
  'name',
  'type',
  'kind',
  'value',
  'date',
  'at',
  'day',
  'position',
  'version',
  'status',
  'state',
  'email',
  'slug',
  'tenant_id',
]);
const ANY_KEY = new Set(['id', 'fk', 'ref', 'key']);

function pointsTo(
  { oid, column }: Candidate,
  parent: Relation,
  key: Column,
  known: ReadonlySet<string>,
): boolean {
  const name = snakeCase(column ?? '');
  const keyName = snakeCase(key.name);
  if (name === keyName && !PLAIN.has(keyName)) return oid !== parent.oid;
  const pointer = pointerOf(column ?? '');
  if (pointer === null || (oid === parent.oid && column === key.name)) return false;
  if (!ANY_KEY.has(pointer.by) && pointer.by !== keyName && !keyName.endsWith(`_${pointer.by}`)) return false;
  const names = new Set(singularForms(snakeCase(parent.name)));
  // billing_address_id points to billing_address where there is such a table, else to address.
  const thing = pointer.things.find((one) => singularForms(one).some((form) => known.has(form)));
  return thing !== undefined && singularForms(thing).some((form) => names.has(form));
}

const INTEGERS = new Set(['smallint', 'integer', 'bigint']);

function equality(key: Column, column: Column): UndeclaredReference['condition'] | null {
  const [one, other] = [key.comparison, column.comparison];
  const areIntegers = INTEGERS.has(one.type) && INTEGERS.has(other.type);
  if (one.eq === null || (one.type !== other.type && !areIntegers)) return null;
  const equals = areIntegers ? 'OPERATOR(pg_catalog.=)' : one.eq;
  const operand = (alias: Sql, { name, comparison }: Column) =>
    comparison.recast
      ? sql`${alias}.${ident(name)}::${fromCatalog(comparison.type)}`
      : sql`${alias}.${ident(name)}`;
  return (parent, child) => sql`${operand(parent, key)} ${fromCatalog(equals)} ${operand(child, column)}`;
}
