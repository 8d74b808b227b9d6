import { typeName } from './catalog-columns.ts';
import type { Session } from './session.ts';
import { integer, sql } from './sql.ts';

/** What no two rows of a table may share. */
export interface UniqueKey {
  readonly name: string;
  readonly isPrimary: boolean;
  readonly parts: readonly UniquePart[];
  readonly predicate: string | null;
  /** NULLs equal each other (NULLS NOT DISTINCT, since PostgreSQL 15). */
  readonly nullsEqual: boolean;
  /** All columns that it is made of, those of expressions and of the predicate too. */
  readonly columns: readonly string[];
}

export interface UniquePart {
  /** a column or an expression on columns of the table, by their bare names */
  readonly value: string;
  readonly type: string;
  /** OPERATOR(schema.=) of the index */
  readonly equals: string;
  /** quoted and qualified; null: the type has none */
  readonly collation: string | null;
}

/** Invalid indexes too: they keep out what comes. */
export function readUniqueKeys(session: Session, oid: number): Promise<UniqueKey[]> {
  return session.query<UniqueKey>(sql`
    SELECT c.relname AS name, i.indisprimary AS "isPrimary", pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
           coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool, false) AS "nullsEqual",
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                     'value', pg_catalog.pg_get_indexdef(i.indexrelid, a.attnum, false),
                     'type', ${typeName(sql`a.atttypid`, sql`-1`)},
                     'equals', 'OPERATOR(' || pg_catalog.quote_ident(n.nspname) || '.' || o.oprname || ')',
                     'collation', (SELECT pg_catalog.quote_ident(ln.nspname) || '.' || pg_catalog.quote_ident(l.collname)
                                     FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace ln ON ln.oid = l.collnamespace
                                    WHERE l.oid = i.indcollation[a.attnum - 1])) ORDER BY a.attnum)
              FROM pg_catalog.pg_attribute a
              JOIN pg_catalog.pg_opclass k ON k.oid = i.indclass[a.attnum - 1]
              JOIN pg_catalog.pg_amop p ON p.amopfamily = k.opcfamily AND p.amoplefttype = k.opcintype
                   AND p.amoprighttype = k.opcintype AND p.amopstrategy = 3 AND p.amoppurpose = 's'
              JOIN pg_catalog.pg_operator o ON o.oid = p.amopopr
              JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
             WHERE a.attrelid = i.indexrelid AND a.attnum <= i.indnkeyatts) AS parts,
           (SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND (
                   a.attnum = ANY (i.indkey)
                OR EXISTS (SELECT FROM pg_catalog.pg_depend d
                            WHERE d.classid = 1259 AND d.objid = i.indexrelid AND d.refclassid = 1259
                              AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))) AS columns
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'
     WHERE i.indrelid = ${integer(oid)} AND i.indisunique AND i.indislive
     ORDER BY i.indisprimary DESC, c.relname COLLATE pg_catalog."C"`);
}
