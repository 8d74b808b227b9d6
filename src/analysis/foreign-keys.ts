import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { readCatalog, userSchemas } from './catalog-query.ts';

/** A declared reference, with what PostgreSQL looks for on this side when a row of the other side goes. */
export interface ForeignKeyFigures {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly tableOid: number;
  readonly referencedSchema: string;
  readonly referencedTable: string;
  readonly referencedOid: number;
  readonly onDelete: 'NO ACTION' | 'RESTRICT' | 'CASCADE' | 'SET NULL' | 'SET DEFAULT';
  /** WITHOUT OVERLAPS on the other side (PostgreSQL 18): the last column is looked for by && */
  readonly isPeriod: boolean;
  readonly columns: readonly SoughtColumn[];
}

/** One column in the condition `$1 = column`. */
export interface SoughtColumn {
  readonly name: string;
  /** of the comparison: the other side's, where that one is nondeterministic */
  readonly collation: number;
  /** to name the collation where it is not the column's own; else null */
  readonly collate: string | null;
  /** what is compared where the types differ, as PostgreSQL prints it in an index; null: the column as it is */
  readonly cast: string | null;
  /** operator families that know the comparison */
  readonly families: readonly number[];
}

/** Of the whole database, without those that partitions inherit and those that PostgreSQL does not enforce. */
export async function readForeignKeys(session: Session): Promise<ForeignKeyFigures[]> {
  const isNew = session.serverVersion >= 180_000;
  const rows = await readCatalog<RawForeignKey>(
    session,
    sql`SELECT k.conname AS name, n.nspname AS schema, c.relname AS table, k.conrelid AS "tableOid",
               fn.nspname AS "referencedSchema", f.relname AS "referencedTable", k.confrelid AS "referencedOid",
               CASE k.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                 WHEN 'n' THEN 'SET NULL' ELSE 'SET DEFAULT' END AS "onDelete",
               ${isNew ? sql`k.conperiod` : sql`false`} AS "isPeriod", ${SOUGHT_COLUMNS} AS columns
          FROM pg_catalog.pg_constraint k
          JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND c.relpersistence <> 't'
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
          JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
         WHERE k.contype = 'f' AND k.conparentid = 0 AND ${isNew ? sql`k.conenforced` : sql`true`} AND ${userSchemas}
         ORDER BY n.nspname, c.relname, k.conname`,
  );
  return rows.map((row) => ({ ...row, columns: row.columns.map(soughtColumn) }));
}

/**
 * As ri_GenerateQual writes the condition: the operator of the constraint, with a cast where the column's type is not
 * the operator's, and with the collation of the other side where that one is nondeterministic.
 */
const SOUGHT_COLUMNS = sql`(
  SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, s.collation::int8,
           CASE WHEN s.collation <> a.attcollation THEN pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname) END,
           CASE WHEN o.oprright <> b.type AND r.typtype <> 'p' AND NOT EXISTS (
                  SELECT FROM pg_catalog.pg_cast t WHERE t.castsource = b.type AND t.casttarget = o.oprright AND t.castmethod = 'b')
                THEN '((' || pg_catalog.quote_ident(a.attname) || ')::' || pg_catalog.format_type(o.oprright, NULL) || ')' END,
           ARRAY(SELECT m.amopfamily::int8 FROM pg_catalog.pg_amop m
                  WHERE m.amopopr = o.oprcom AND m.amoppurpose = 's' ORDER BY m.amopfamily)) ORDER BY u.position)
    FROM ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey), pg_catalog.unnest(k.conpfeqop))
           WITH ORDINALITY u (child, parent, operator, position)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.child
    JOIN pg_catalog.pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = u.parent
    JOIN pg_catalog.pg_operator o ON o.oid = u.operator
    JOIN pg_catalog.pg_type r ON r.oid = o.oprright
    LEFT JOIN pg_catalog.pg_collation pl ON pl.oid = p.attcollation
   CROSS JOIN LATERAL (SELECT CASE WHEN p.attcollation <> a.attcollation AND NOT pl.collisdeterministic THEN p.attcollation
                                   ELSE a.attcollation END AS collation) s
    LEFT JOIN pg_catalog.pg_collation l ON l.oid = s.collation
    LEFT JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
   CROSS JOIN LATERAL (
     WITH RECURSIVE base (type, kind, next) AS (
       SELECT y.oid, y.typtype, y.typbasetype FROM pg_catalog.pg_type y WHERE y.oid = a.atttypid
       UNION ALL
       SELECT y.oid, y.typtype, y.typbasetype FROM base d JOIN pg_catalog.pg_type y ON y.oid = d.next WHERE d.kind = 'd'
     ) SELECT d.type FROM base d WHERE d.kind <> 'd') b)`;

type RawForeignKey = Omit<ForeignKeyFigures, 'columns'> & { readonly columns: readonly RawColumn[] };

type RawColumn = [
  name: string,
  collation: number,
  collate: string | null,
  cast: string | null,
  families: number[],
];

const soughtColumn = ([name, collation, collate, cast, families]: RawColumn): SoughtColumn => ({
  name,
  collation,
  collate,
  cast,
  families,
});
