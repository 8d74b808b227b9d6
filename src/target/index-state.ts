import type { Session } from './session.ts';
import { integer, type Sql, sql, typedValue } from './sql.ts';

/** Why an index may not be taken away, whoever uses it. */
export interface IndexDutyFact {
  readonly duty:
    | 'CONSTRAINT'
    | 'FOREIGN_KEY_TARGET'
    | 'REPLICA_IDENTITY'
    | 'CLUSTERED'
    | 'STATISTICS'
    | 'PARTITION'
    | 'PARTITIONED'
    | 'EXTENSION';
  /** of the constraint, the foreign key, the partitioned index or the extension */
  readonly name: string | null;
}

/** One index as it is now. */
export interface IndexState {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly tableOid: number;
  readonly method: string;
  /** as PostgreSQL writes it, every name in full, with the tablespace where that is another than the database's */
  readonly definition: string;
  readonly isUnique: boolean;
  /** built, kept up to date, and not being dropped */
  readonly isValid: boolean;
  /** false: a DROP INDEX CONCURRENTLY was broken off late */
  readonly isLive: boolean;
  readonly hasExpressions: boolean;
  readonly sizeBytes: number;
  readonly scans: number;
  readonly comment: string | null;
  readonly duties: readonly IndexDutyFact[];
}

export const readIndex = (session: Session, schema: string, name: string): Promise<IndexState | null> =>
  first(
    session,
    sql`n.nspname = ${typedValue(schema, 'pg_catalog.name')} AND x.relname = ${typedValue(name, 'pg_catalog.name')}`,
  );

export const readIndexByOid = (session: Session, oid: number): Promise<IndexState | null> =>
  first(session, sql`x.oid = ${integer(oid)}`);

export const readInvalidIndexesOf = (session: Session, tableOid: number): Promise<IndexState[]> =>
  readIndexes(
    session,
    sql`i.indrelid = ${integer(tableOid)} AND NOT (i.indisvalid AND i.indisready AND i.indislive)`,
  );

const first = async (session: Session, condition: Sql): Promise<IndexState | null> =>
  (await readIndexes(session, condition))[0] ?? null;

/** In a transaction of its own, in which no name is left out because the search_path would find it. */
const readIndexes = (session: Session, condition: Sql): Promise<IndexState[]> =>
  session.transaction(async () => {
    await session.script('SET LOCAL search_path = pg_catalog');
    return session.query<IndexState>(sql`
      SELECT x.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, x.relname AS name,
             i.indrelid::pg_catalog.int8::pg_catalog.float8 AS "tableOid", m.amname AS method, ${DEFINITION} AS definition,
             i.indisunique AS "isUnique", i.indisvalid AND i.indisready AND i.indislive AS "isValid", i.indislive AS "isLive",
             i.indexprs IS NOT NULL AS "hasExpressions",
             coalesce(pg_catalog.pg_relation_size(x.oid), 0)::pg_catalog.float8 AS "sizeBytes",
             pg_catalog.pg_stat_get_numscans(x.oid)::pg_catalog.float8 AS scans,
             pg_catalog.obj_description(x.oid, 'pg_class') AS comment, ${DUTIES} AS duties
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace
        JOIN pg_catalog.pg_am m ON m.oid = x.relam
        LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = x.reltablespace
       WHERE ${condition} ORDER BY n.nspname, x.relname`);
  });

/** TABLESPACE comes before WHERE, which is the last thing that pg_get_indexdef writes. */
const DEFINITION = sql`
  (SELECT CASE WHEN s.spcname IS NULL THEN d.text
               WHEN p.text IS NULL THEN d.text || t.text
               ELSE pg_catalog.left(d.text, -pg_catalog.length(p.text)) || t.text || p.text END
     FROM (SELECT pg_catalog.pg_get_indexdef(x.oid) AS text) d,
          (SELECT ' WHERE ' || pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS text) p,
          (SELECT ' TABLESPACE ' || pg_catalog.quote_ident(s.spcname) AS text) t)`;

const DUTIES = sql`
  (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('duty', d.duty, 'name', d.name) ORDER BY d.duty, d.name), '[]')
     FROM (
       SELECT CASE WHEN k.contype = 'f' THEN 'FOREIGN_KEY_TARGET' ELSE 'CONSTRAINT' END, k.conname::pg_catalog.text
         FROM pg_catalog.pg_constraint k WHERE k.conindid = x.oid AND k.contype IN ('p', 'u', 'x', 'f')
       UNION ALL SELECT 'REPLICA_IDENTITY', NULL WHERE i.indisreplident
       UNION ALL SELECT 'CLUSTERED', NULL WHERE i.indisclustered
       UNION ALL SELECT 'STATISTICS', NULL
         WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0)
       UNION ALL SELECT 'PARTITION', (SELECT o.relname::pg_catalog.text FROM pg_catalog.pg_inherits h
                                        JOIN pg_catalog.pg_class o ON o.oid = h.inhparent WHERE h.inhrelid = x.oid)
         WHERE x.relispartition
       UNION ALL SELECT 'PARTITIONED', NULL WHERE x.relkind = 'I'
       UNION ALL SELECT 'EXTENSION', e.extname::pg_catalog.text
         FROM pg_catalog.pg_depend o JOIN pg_catalog.pg_extension e ON e.oid = o.refobjid
        WHERE o.classid = 1259 AND o.objid IN (x.oid, c.oid) AND o.refclassid = 3079 AND o.deptype IN ('e', 'x')
     ) d (duty, name))`;
