import { type Column, columnsSql } from './catalog-columns.ts';
import type { Session } from './session.ts';
import { type Sql, integer, sql, typedValue } from './sql.ts';

export interface ForeignKey {
  readonly oid: number;
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly tableOid: number;
  readonly columns: readonly string[];
  readonly referencedSchema: string;
  readonly referencedTable: string;
  readonly referencedOid: number;
  readonly referencedColumns: readonly string[];
  /** For each column OPERATOR(schema.=), with the referenced value on the left. */
  readonly operators: readonly string[];
  readonly onDelete: 'NO_ACTION' | 'RESTRICT' | 'CASCADE' | 'SET_NULL' | 'SET_DEFAULT';
  /** The columns that SET NULL and SET DEFAULT change: of all, or since PostgreSQL 15 of those that the key names. */
  readonly setColumns: readonly string[];
  readonly deferrable: boolean;
  readonly validated: boolean;
  /** Deletes look for referencing rows: not so when its triggers are disabled, or it is NOT ENFORCED (PostgreSQL 18). */
  readonly enforced: boolean;
}

export interface Trigger {
  readonly name: string;
  readonly timing: 'BEFORE' | 'AFTER' | 'INSTEAD_OF';
  readonly events: readonly ('INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE')[];
  readonly level: 'ROW' | 'STATEMENT';
  /** Fires in an ordinary session. */
  readonly enabled: boolean;
  /** Quoted and qualified. */
  readonly function: string;
  /** UPDATE OF these; empty: of any column. */
  readonly columns: readonly string[];
  /** A WHEN clause decides for each row. */
  readonly conditional: boolean;
}

export interface Index {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly definition: string;
  readonly isUnique: boolean;
  readonly isPrimary: boolean;
  readonly isValid: boolean;
  readonly method: string;
  /** Key columns in order; null stands for an expression. */
  readonly columns: readonly (string | null)[];
  readonly predicate: string | null;
  readonly sizeBytes: number;
}

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind:
    'TABLE' | 'PARTITIONED' | 'VIEW' | 'MATERIALIZED_VIEW' | 'FOREIGN' | 'SEQUENCE' | 'INDEX' | 'OTHER';
  readonly persistence: 'PERMANENT' | 'UNLOGGED' | 'TEMPORARY';
  readonly isPartition: boolean;
  readonly hasChildren: boolean;
  readonly rowSecurity: boolean;
  /** The statistics' rows, scaled to the present size; -1: never analysed or vacuumed. */
  readonly estimatedRows: number;
  readonly pages: number;
  readonly heapBytes: number;
  /** Heap, TOAST and indexes. */
  readonly totalBytes: number;
  /** Live ones, in order. */
  readonly columns: readonly Column[];
  readonly primaryKey: readonly string[] | null;
  /** Keys of other tables (or of this one) that reference it. */
  readonly inbound: readonly ForeignKey[];
  readonly outbound: readonly ForeignKey[];
  /** Those that users made; not those of foreign keys. */
  readonly triggers: readonly Trigger[];
  readonly rules: readonly string[];
  readonly indexes: readonly Index[];
}

/** The relation with exactly this name, or null. A name is a value here, so any text is safe. */
export async function readRelation(session: Session, schema: string, name: string): Promise<Relation | null> {
  const [row] = await session.query<{ oid: string }>(sql`
    SELECT c.oid::pg_catalog.text AS oid
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = ${typedValue(schema, 'pg_catalog.name')} AND c.relname = ${typedValue(name, 'pg_catalog.name')}`);
  return row === undefined ? null : readRelationByOid(session, Number(row.oid));
}

export async function readRelationByOid(session: Session, oid: number): Promise<Relation | null> {
  const [base] = await session.query<Base>(baseSql(oid));
  if (base === undefined) return null;
  const columns = await session.query<Column>(columnsSql(oid));
  const [parts] = await session.query<Parts>(partsSql(oid));
  return { ...base, ...(parts as Parts), columns };
}

type Parts = Pick<Relation, 'primaryKey' | 'inbound' | 'outbound' | 'triggers' | 'rules' | 'indexes'>;
type Base = Omit<Relation, keyof Parts | 'columns'>;

const baseSql = (oid: number): Sql => sql`
  SELECT c.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, c.relname AS name,
         CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED_VIEW'
           WHEN 'f' THEN 'FOREIGN' WHEN 'S' THEN 'SEQUENCE' WHEN 'i' THEN 'INDEX' WHEN 'I' THEN 'INDEX' ELSE 'OTHER' END AS kind,
         CASE c.relpersistence WHEN 'p' THEN 'PERMANENT' WHEN 'u' THEN 'UNLOGGED' ELSE 'TEMPORARY' END AS persistence,
         c.relispartition AS "isPartition",
         EXISTS (SELECT 1 FROM pg_catalog.pg_inherits WHERE inhparent = c.oid) AS "hasChildren",
         c.relrowsecurity AS "rowSecurity",
         CASE WHEN c.reltuples < 0 THEN -1 WHEN c.relpages = 0 THEN c.reltuples::pg_catalog.float8
              ELSE pg_catalog.round(c.reltuples::pg_catalog.float8 / c.relpages * size.pages) END AS "estimatedRows",
         size.pages::pg_catalog.float8 AS pages, size.heap::pg_catalog.float8 AS "heapBytes",
         CASE WHEN size.heap = 0 AND c.relkind NOT IN ('r', 'm', 't') THEN 0
              ELSE pg_catalog.pg_total_relation_size(c.oid) END::pg_catalog.float8 AS "totalBytes"
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
      SELECT heap, heap / pg_catalog.current_setting('block_size')::pg_catalog.int8 AS pages
        FROM (SELECT coalesce(pg_catalog.pg_relation_size(c.oid), 0) AS heap) h) size
   WHERE c.oid = ${integer(oid)}`;

const partsSql = (oid: number): Sql => sql`
  SELECT ${primaryKeySql(oid)} AS "primaryKey", ${foreignKeysSql(sql`k.confrelid = ${integer(oid)}`)} AS inbound,
         ${foreignKeysSql(sql`k.conrelid = ${integer(oid)}`)} AS outbound, ${triggersSql(oid)} AS triggers,
         ${rulesSql(oid)} AS rules, ${indexesSql(oid)} AS indexes`;

const columnNames = (relation: Sql, numbers: Sql): Sql => sql`
  (SELECT pg_catalog.json_agg(a.attname ORDER BY u.i)
     FROM pg_catalog.unnest(${numbers}) WITH ORDINALITY u(n, i)
     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = ${relation} AND a.attnum = u.n AND u.n <> 0)`;

const primaryKeySql = (oid: number): Sql => sql`
  (SELECT ${columnNames(sql`k.conrelid`, sql`k.conkey`)} FROM pg_catalog.pg_constraint k
    WHERE k.conrelid = ${integer(oid)} AND k.contype = 'p')`;

/** Since PostgreSQL 15; without the column of the catalog there is nothing to read from the row. */
const deleteSetColumns = sql`
  (SELECT pg_catalog.array_agg(n::pg_catalog.int2)
     FROM pg_catalog.jsonb_array_elements_text(
            CASE WHEN pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(k) -> 'confdelsetcols') = 'array' THEN pg_catalog.to_jsonb(k) -> 'confdelsetcols' END) n)`;

/** The trigger of the key that a DELETE of a referenced row fires. Before PostgreSQL 15 a partitioned table has none: its partitions have. */
const deletesLook = sql`
  (t.relkind = 'p' AND pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 150000) OR
  EXISTS (SELECT FROM pg_catalog.pg_trigger g
           WHERE g.tgconstraint = k.oid AND g.tgrelid = k.confrelid AND g.tgtype & 8 <> 0 AND g.tgenabled IN ('O', 'A'))`;

const foreignKeysSql = (condition: Sql): Sql => sql`
  (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', k.oid::pg_catalog.int8, 'name', k.conname, 'schema', fn.nspname, 'table', f.relname,
      'tableOid', f.oid::pg_catalog.int8, 'columns', ${columnNames(sql`k.conrelid`, sql`k.conkey`)},
      'referencedSchema', tn.nspname, 'referencedTable', t.relname, 'referencedOid', t.oid::pg_catalog.int8,
      'referencedColumns', ${columnNames(sql`k.confrelid`, sql`k.confkey`)},
      'operators', (SELECT pg_catalog.json_agg('OPERATOR(' || pg_catalog.quote_ident(n.nspname) || '.' || o.oprname || ')' ORDER BY u.i)
                      FROM pg_catalog.unnest(k.conpfeqop) WITH ORDINALITY u(op, i)
                      JOIN pg_catalog.pg_operator o ON o.oid = u.op JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace),
      'onDelete', CASE k.confdeltype WHEN 'a' THEN 'NO_ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                       WHEN 'n' THEN 'SET_NULL' ELSE 'SET_DEFAULT' END,
      'setColumns', (SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = k.conrelid AND a.attnum = ANY (coalesce(${deleteSetColumns}, k.conkey))),
      'deferrable', k.condeferrable, 'validated', k.convalidated, 'enforced', ${deletesLook}) ORDER BY fn.nspname, f.relname, k.conname), '[]')
     FROM pg_catalog.pg_constraint k
     JOIN pg_catalog.pg_class f ON f.oid = k.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace
     JOIN pg_catalog.pg_class t ON t.oid = k.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
    WHERE k.contype = 'f' AND ${condition})`;

/** tgtype's bits: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate, 64 instead of. */
const triggersSql = (oid: number): Sql => sql`
  (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', g.tgname,
      'timing', CASE WHEN g.tgtype & 64 <> 0 THEN 'INSTEAD_OF' WHEN g.tgtype & 2 <> 0 THEN 'BEFORE' ELSE 'AFTER' END,
      'events', pg_catalog.array_remove(ARRAY[
          CASE WHEN g.tgtype & 4 <> 0 THEN 'INSERT' END, CASE WHEN g.tgtype & 16 <> 0 THEN 'UPDATE' END,
          CASE WHEN g.tgtype & 8 <> 0 THEN 'DELETE' END, CASE WHEN g.tgtype & 32 <> 0 THEN 'TRUNCATE' END], NULL),
      'level', CASE WHEN g.tgtype & 1 <> 0 THEN 'ROW' ELSE 'STATEMENT' END, 'enabled', g.tgenabled IN ('O', 'A'),
      'function', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname),
      'columns', coalesce(${columnNames(sql`g.tgrelid`, sql`g.tgattr::pg_catalog.int2[]`)}, '[]'), 'conditional', g.tgqual IS NOT NULL) ORDER BY g.tgname), '[]')
     FROM pg_catalog.pg_trigger g
     JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE g.tgrelid = ${integer(oid)} AND NOT g.tgisinternal)`;

const rulesSql = (oid: number): Sql => sql`
  (SELECT coalesce(pg_catalog.json_agg(rulename ORDER BY rulename), '[]') FROM pg_catalog.pg_rewrite
    WHERE ev_class = ${integer(oid)} AND rulename <> '_RETURN')`;

const indexesSql = (oid: number): Sql => sql`
  (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', c.oid::pg_catalog.int8, 'schema', n.nspname, 'name', c.relname,
      'definition', pg_catalog.pg_get_indexdef(c.oid), 'isUnique', i.indisunique, 'isPrimary', i.indisprimary,
      'isValid', i.indisvalid AND i.indisready AND i.indislive, 'method', m.amname,
      'columns', ${columnNames(sql`i.indrelid`, sql`(i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]`)},
      'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid), 'sizeBytes', pg_catalog.pg_relation_size(c.oid))
      ORDER BY c.relname), '[]')
     FROM pg_catalog.pg_index i
     JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_catalog.pg_am m ON m.oid = c.relam
    WHERE i.indrelid = ${integer(oid)})`;
