import type { FoundFault } from '../../domain/finding.ts';
import { ident, quoteIdent, sql, type Sql, toText } from '../../target/sql.ts';
import { readUnlocked, userSchemas } from '../catalog-query.ts';
import { defineAnalysis, tableKey } from '../define-analysis.ts';

/** Constraints that say something about rows which nobody has ever checked. */
export const unvalidatedConstraint = defineAnalysis({
  kind: 'UNVALIDATED_CONSTRAINT',
  docs: 'docs/analyses/unvalidated-constraint.md',
  find: async ({ session, figures }) => {
    const rows = await readUnlocked<Unvalidated>(session, (locked) =>
      constraintsQuery(session.serverVersion, locked),
    );
    const liveRows = new Map(figures.tables.map((t) => [tableKey(t.schema, t.name), t.liveRows]));
    // What tells two findings of a table apart is their columns: constraints on the same ones are one finding.
    const groups = Map.groupBy(rows, (row) => JSON.stringify([row.schema, row.table, row.columns]));
    return [...groups.values()].map((group) => faultOf(group, liveRows));
  },
});

interface Unvalidated {
  schema: string;
  /** the domain's name, when it is one's */
  table: string;
  isDomain: boolean;
  columns: string[];
  name: string;
  /** pg_constraint's letter: c, f, n */
  type: string;
  enforced: boolean;
  /** null while its table is locked */
  definition: string | null;
  /** of a CHECK */
  condition: string | null;
}

/** Those that are inherited are left to the table that they come from: validating there validates here. */
const constraintsQuery = (version: number, locked: Sql) => sql`
  WITH locked AS MATERIALIZED (${locked}), found AS MATERIALIZED (
    SELECT k.oid, k.conname, k.contype, k.conrelid, k.contypid, k.conkey, k.conbin,
           ${version >= 180_000 ? sql`k.conenforced` : sql`true`} AS enforced,
           k.conrelid IN (SELECT relation FROM locked) OR k.confrelid IN (SELECT relation FROM locked) AS locked
      FROM pg_catalog.pg_constraint k
     WHERE NOT k.convalidated AND k.contype IN ('c', 'f', 'n') AND k.conparentid = 0 AND k.coninhcount = 0
  )
  SELECT n.nspname AS schema, coalesce(c.relname, t.typname) AS "table", c.oid IS NULL AS "isDomain",
         ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey) ORDER BY a.attnum) AS columns,
         f.conname AS name, f.contype AS type, f.enforced,
         CASE WHEN NOT f.locked THEN pg_catalog.pg_get_constraintdef(f.oid) END AS definition,
         CASE WHEN NOT f.locked AND f.contype = 'c' AND c.oid IS NOT NULL THEN pg_catalog.pg_get_expr(f.conbin, f.conrelid) END AS condition
    FROM found f
    LEFT JOIN pg_catalog.pg_class c ON c.oid = f.conrelid
    LEFT JOIN pg_catalog.pg_type t ON t.oid = f.contypid AND f.conrelid = 0
    JOIN pg_catalog.pg_namespace n ON n.oid = coalesce(c.relnamespace, t.typnamespace)
   WHERE ${userSchemas} AND c.relpersistence IS DISTINCT FROM 't'
   ORDER BY n.nspname, 2, f.conname`;

function faultOf(group: readonly Unvalidated[], liveRows: ReadonlyMap<string, number>): FoundFault {
  const [{ schema, table, columns }] = group as [Unvalidated];
  const names = group.map((constraint) => constraint.name).join(', ');
  return {
    kind: 'UNVALIDATED_CONSTRAINT',
    severity: group.some((constraint) => constraint.enforced) ? 'NOTICE' : 'INFO',
    schema,
    table,
    index: null,
    columns,
    title: `${group.length > 1 ? 'Constraints' : 'Constraint'} ${names} of ${schema}.${table} may not hold for all rows`,
    detail: group.map(inWords).join(' '),
    wastedBytes: null,
    rows: liveRows.get(tableKey(schema, table)) ?? null,
    evidence: {
      constraints: group.map(({ name, type, enforced, definition }) => ({
        name,
        type: TYPES[type],
        enforced,
        definition,
      })),
    },
    remedy: null,
  };
}

const TYPES: Readonly<Record<string, string>> = { c: 'CHECK', f: 'FOREIGN KEY', n: 'NOT NULL' };

function inWords(constraint: Unvalidated): string {
  const { name, definition } = constraint;
  const what = definition === null ? name : `${name} (${definition})`;
  if (!constraint.enforced)
    return `${what} is NOT ENFORCED: no row is checked, old or new. ${enforce(constraint)}`;
  return `${what} is NOT VALID: new rows are checked, those from before never were, and the planner does not rely on it. ${validate(constraint)}`;
}

const tableOf = ({ schema, table }: Unvalidated) => toText(ident(schema, table));

function validate(constraint: Unvalidated): string {
  const name = quoteIdent(constraint.name);
  if (constraint.isDomain)
    return `ALTER DOMAIN ${tableOf(constraint)} VALIDATE CONSTRAINT ${name} reads every table that uses the domain, and holds up writers there meanwhile.`;
  const other = constraint.type === 'f' ? ', and ROW SHARE on the table that it refers to' : '';
  return (
    `${first(constraint)}ALTER TABLE ${tableOf(constraint)} VALIDATE CONSTRAINT ${name} reads the table once under a SHARE UPDATE EXCLUSIVE lock${other}: ` +
    'readers and writers go on, VACUUM and ALTER TABLE wait.'
  );
}

/** How to see what would make it fail. */
function first({ type, columns, condition, ...rest }: Unvalidated): string {
  const from = `SELECT * FROM ${tableOf({ type, columns, condition, ...rest })}`;
  if (type === 'f') return 'ORPHAN_ROWS tells which rows break it; with those gone, ';
  if (type === 'n')
    return `Rows that break it: ${from} WHERE ${quoteIdent(columns[0] ?? '')} IS NULL. With those gone, `;
  return condition === null ? '' : `Rows that break it: ${from} WHERE NOT (${condition}). With those gone, `;
}

/** PostgreSQL 18 can turn on a foreign key only. */
function enforce(constraint: Unvalidated): string {
  const name = quoteIdent(constraint.name);
  if (constraint.isDomain) return 'Drop it, or add it again without NOT ENFORCED.';
  if (constraint.type === 'f')
    return `If it is to hold: ALTER TABLE ${tableOf(constraint)} ALTER CONSTRAINT ${name} ENFORCED checks all rows, and locks out writers meanwhile.`;
  return `If it is to hold, drop it and add it again NOT VALID, then ALTER TABLE ${tableOf(constraint)} VALIDATE CONSTRAINT ${name}.`;
}
