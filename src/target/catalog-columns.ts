import { type Sql, integer, sql } from './sql.ts';

/** How a column's values compare: the operators of its type's default operator class, named so that nothing can stand in for them. */
export interface Comparison {
  /** What a value is cast to: the type without length or precision, or the cast would cut the value to fit. */
  readonly type: string;
  /** OPERATOR(schema.name); null: the type has no equality, and only IS_NULL and IS_NOT_NULL apply. */
  readonly eq: string | null;
  /** null: the type has no order. */
  readonly lt: string | null;
  readonly le: string | null;
  readonly gt: string | null;
  readonly ge: string | null;
  /** The column is a domain over a type whose operators are polymorphic: it must be cast to that type to find them. */
  readonly recast: boolean;
}

export interface Column {
  readonly name: string;
  readonly number: number;
  /** With its modifier, qualified so that it means the same under any search_path. */
  readonly type: string;
  readonly notNull: boolean;
  readonly generated: boolean;
  readonly identity: 'ALWAYS' | 'BY_DEFAULT' | null;
  /** Quoted and qualified, when it is not the type's default. */
  readonly collation: string | null;
  /** The sequence that a serial or identity column owns. */
  readonly sequence: { readonly schema: string; readonly name: string } | null;
  readonly comparison: Comparison;
  /** IS NULL would ask a composite value about each of its fields. */
  readonly composite: boolean;
}

const isTrueArray = (type: Sql) =>
  sql`(${type}.typelem <> 0 AND ${type}.typlen = -1 AND ${type}.typcategory = 'A')`;

/**
 * The name of a type with its modifier. format_type leaves out the schema of what the search_path finds, so only names that
 * the grammar itself knows are taken from it; bit and character without a length are the two where it would add one.
 */
export const typeName = (oid: Sql, modifier: Sql): Sql => sql`
  (SELECT CASE
       WHEN e.oid IN (1042, 1560) AND ${modifier} < 0
         THEN 'pg_catalog.' || pg_catalog.quote_ident(e.typname) || CASE WHEN e.oid <> t.oid THEN '[]' ELSE '' END
       WHEN e.oid IN (16, 20, 21, 23, 700, 701, 1042, 1043, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700)
         THEN pg_catalog.format_type(t.oid, ${modifier})
       ELSE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(e.typname) ||
         pg_catalog.substr(pg_catalog.format_type(t.oid, ${modifier}), pg_catalog.length(pg_catalog.format_type(e.oid, NULL)) + 1)
     END
     FROM pg_catalog.pg_type t
     JOIN pg_catalog.pg_type e ON e.oid = CASE WHEN ${isTrueArray(sql`t`)} THEN t.typelem ELSE t.oid END
     JOIN pg_catalog.pg_namespace n ON n.oid = e.typnamespace
    WHERE t.oid = ${oid})`;

/** As PostgreSQL chooses (GetDefaultOpClass): the type's own class, else that of a type which is stored the same. */
const defaultOperatorClass = (method: 'btree' | 'hash', type: Sql): Sql => sql`
  (SELECT c.opcfamily, c.opcintype, i.typtype = 'p' AS polymorphic
     FROM pg_catalog.pg_opclass c
     JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod
     JOIN pg_catalog.pg_type i ON i.oid = c.opcintype
    WHERE c.opcdefault AND m.amname = ${method === 'btree' ? sql`'btree'` : sql`'hash'`} AND (
          c.opcintype = ${type}.oid
       OR c.opcintype = CASE WHEN ${isTrueArray(type)} THEN 2277 ELSE
            CASE ${type}.typtype WHEN 'e' THEN 3500 WHEN 'r' THEN 3831 WHEN 'm' THEN 4537 END END
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_cast k
                   WHERE k.castsource = ${type}.oid AND k.casttarget = c.opcintype
                     AND k.castmethod = 'b' AND k.castcontext = 'i'))
    ORDER BY c.opcintype = ${type}.oid DESC, i.typispreferred DESC, c.oid
    LIMIT 1)`;

const operator = (strategy: number): Sql => sql`
  (SELECT 'OPERATOR(' || pg_catalog.quote_ident(n.nspname) || '.' || o.oprname || ')'
     FROM pg_catalog.pg_amop p
     JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr
     JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
    WHERE p.amopfamily = k.opcfamily AND p.amoplefttype = k.opcintype AND p.amoprighttype = k.opcintype
      AND p.amoppurpose = 's' AND p.amopstrategy = CASE WHEN k.ordered THEN ${integer(strategy)} ELSE 1 END
      AND (k.ordered OR ${integer(strategy)} = 3))`;

/** Each column type with the type below its domains, its operator class (B-tree, else hash) and the operators. */
const comparisons = sql`
  base AS (
    SELECT DISTINCT atttypid AS type, atttypid AS oid FROM live
    UNION ALL
    SELECT b.type, t.typbasetype FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid AND t.typtype = 'd'
  ),
  class AS (
    SELECT b.type, t.oid AS base, t.typtype, coalesce(bt.opcfamily, hs.opcfamily) AS opcfamily,
           coalesce(bt.opcintype, hs.opcintype) AS opcintype, bt.opcfamily IS NOT NULL AS ordered,
           coalesce(bt.polymorphic, hs.polymorphic, true) AS polymorphic
      FROM base b
      JOIN pg_catalog.pg_type t ON t.oid = b.oid AND t.typtype <> 'd'
      LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND ${isTrueArray(sql`t`)}
      LEFT JOIN LATERAL ${defaultOperatorClass('btree', sql`e`)} el ON e.oid IS NOT NULL
      LEFT JOIN LATERAL ${defaultOperatorClass('btree', sql`t`)} bt ON e.oid IS NULL OR el.opcfamily IS NOT NULL
      LEFT JOIN LATERAL ${defaultOperatorClass('hash', sql`t`)} hs ON bt.opcfamily IS NULL AND e.oid IS NULL
  ),
  comparison AS (
    SELECT k.type, k.typtype = 'c' AS composite, pg_catalog.json_build_object(
             'type', ${typeName(sql`CASE WHEN k.polymorphic THEN k.base ELSE k.opcintype END`, sql`-1`)},
             'eq', ${operator(3)}, 'lt', ${operator(1)}, 'le', ${operator(2)}, 'gt', ${operator(5)}, 'ge', ${operator(4)},
             'recast', k.polymorphic AND k.type <> k.base) AS operators
      FROM class k
  )`;

/** The relation's live columns, in order, as rows of the shape of Column. */
export const columnsSql = (oid: number): Sql => sql`
  WITH RECURSIVE live AS (
    SELECT * FROM pg_catalog.pg_attribute WHERE attrelid = ${integer(oid)} AND attnum > 0 AND NOT attisdropped
  ), ${comparisons}
  SELECT a.attname AS name, a.attnum::pg_catalog.int4 AS number, ${typeName(sql`a.atttypid`, sql`a.atttypmod`)} AS type,
         a.attnotnull AS "notNull", a.attgenerated <> '' AS generated,
         CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY_DEFAULT' END AS identity,
         CASE WHEN a.attcollation <> t.typcollation THEN
           (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(l.collname)
              FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace
             WHERE l.oid = a.attcollation) END AS collation,
         (SELECT pg_catalog.json_build_object('schema', n.nspname, 'name', s.relname)
            FROM pg_catalog.pg_depend d
            JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
            JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
           WHERE d.classid = 1259 AND d.refclassid = 1259 AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
             AND d.deptype IN ('a', 'i')
           ORDER BY s.oid LIMIT 1) AS sequence,
         c.operators AS comparison, c.composite
    FROM live a
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    JOIN comparison c ON c.type = a.atttypid
   ORDER BY a.attnum`;
