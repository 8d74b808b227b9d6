import type { Session } from './session.ts';
import { type Sql, integer, sql } from './sql.ts';

/**
 * The facts of a table on which a plan rests, a row each: name and kind, columns, constraints, foreign keys both ways,
 * triggers with their functions' bodies, rules, policies, inheritance. Partitions come and go every day: one knows its table, and the
 * table not them. In raw, expressions are stored trees and not deparsed
 * text: that is quick, and does not change with the search_path.
 */
const facts = (oid: number): Sql => {
  const table = integer(oid);
  return sql`
    SELECT 'table' AS kind, relname::pg_catalog.text AS name, ''::pg_catalog.text AS detail,
           ROW(1, relnamespace, relname, relkind, relpersistence, relrowsecurity, relforcerowsecurity, relreplident)::pg_catalog.text AS raw
      FROM pg_catalog.pg_class WHERE oid = ${table}
    UNION ALL
    SELECT 'column', a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod),
           ROW(2, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attidentity, a.attgenerated,
               d.adbin)::pg_catalog.text
      FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = ${table} AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    ${constraintFacts(sql`conrelid = ${table} AND contype <> 'n'`)}
    UNION ALL
    ${constraintFacts(sql`oid = ANY (ARRAY(SELECT tgconstraint FROM pg_catalog.pg_trigger WHERE tgrelid = ${table} AND tgisinternal AND tgenabled IN ('O', 'A')))
                          AND conrelid <> ${table}`)}
    UNION ALL
    SELECT 'trigger', t.tgname::pg_catalog.text, 'calling ' || t.tgfoid::pg_catalog.regproc::pg_catalog.text,
           ROW(4, t.tgname, t.tgtype, t.tgenabled, t.tgattr, t.tgargs, t.tgqual, t.tgfoid,
               (SELECT pg_catalog.md5(p.prosrc) FROM pg_catalog.pg_proc p WHERE p.oid = t.tgfoid))::pg_catalog.text
      FROM pg_catalog.pg_trigger t WHERE t.tgrelid = ${table} AND NOT t.tgisinternal
    UNION ALL
    SELECT 'rule', rulename::pg_catalog.text, '',
           ROW(5, rulename, ev_type, ev_enabled, is_instead, ev_action, ev_qual)::pg_catalog.text
      FROM pg_catalog.pg_rewrite WHERE ev_class = ${table}
    UNION ALL
    SELECT 'policy', polname::pg_catalog.text, '',
           ROW(6, polname, polcmd, polpermissive, polroles, polqual, polwithcheck)::pg_catalog.text
      FROM pg_catalog.pg_policy WHERE polrelid = ${table}
    UNION ALL
    ${inheritanceFacts(sql`inhrelid = ${table}`)}
    UNION ALL
    ${inheritanceFacts(sql`inhparent = ${table} AND NOT (SELECT relispartition FROM pg_catalog.pg_class WHERE oid = inhrelid)`)}`;
};

/** Foreign keys from other tables are found by the triggers that they put on this one (enabled: others do nothing); no index leads from confrelid. */
const constraintFacts = (condition: Sql): Sql => sql`
    SELECT CASE WHEN contype = 'f' THEN 'foreign key' ELSE 'constraint' END, conname::pg_catalog.text,
           'on ' || conrelid::pg_catalog.regclass::pg_catalog.text,
           ROW(3, oid, conname, contype, conrelid, confrelid, conkey, confkey, confupdtype, confdeltype, confmatchtype, condeferrable,
               condeferred, convalidated, conbin)::pg_catalog.text
      FROM pg_catalog.pg_constraint WHERE ${condition}`;

const inheritanceFacts = (condition: Sql): Sql => sql`
    SELECT 'inheritance', inhrelid::pg_catalog.regclass::pg_catalog.text, 'from ' || inhparent::pg_catalog.regclass::pg_catalog.text,
           ROW(7, inhrelid, inhparent)::pg_catalog.text
      FROM pg_catalog.pg_inherits WHERE ${condition}`;

/** One row, one column "fingerprint" (hex): SHA-256 of the facts; of nothing when the table is gone. Cheap enough for each batch. */
export const fingerprintSql = (oid: number): Sql => sql`
  SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
           coalesce(pg_catalog.string_agg(raw, E'\\n' ORDER BY raw COLLATE pg_catalog."C"), ''), 'UTF8')), 'hex') AS fingerprint
    FROM (${facts(oid)}) facts`;

export async function readFingerprint(session: Session, oid: number): Promise<string> {
  return (await session.one<{ fingerprint: string }>(fingerprintSql(oid))).fingerprint;
}

/** The same facts as lines to keep: kind, name, detail for people and a hash of the whole, parted by tabs. */
export async function describeSchema(session: Session, oid: number): Promise<string[]> {
  const rows = await session.query<{ line: string }>(sql`
    SELECT pg_catalog.concat_ws(E'\\t', kind, pg_catalog.translate(name, E'\\t\\n', '  '), pg_catalog.translate(detail, E'\\t\\n', '  '),
                                pg_catalog.md5(raw)) AS line
      FROM (${facts(oid)}) facts ORDER BY kind, name COLLATE pg_catalog."C", raw COLLATE pg_catalog."C"`);
  return rows.map((row) => row.line);
}

/** What has changed between two descriptions, in words: "column note (text) was added". Empty when nothing has. */
export function schemaChanges(before: readonly string[], after: readonly string[]): string[] {
  const was = new Map(before.map((line) => [keyOf(line), line]));
  const is = new Map(after.map((line) => [keyOf(line), line]));
  return [
    ...[...is].filter(([key]) => !was.has(key)).map(([, line]) => `${nameOf(line)} was added`),
    ...[...was].filter(([key]) => !is.has(key)).map(([, line]) => `${nameOf(line)} was removed`),
    ...[...is]
      .filter(([key, line]) => was.has(key) && hashOf(was.get(key)) !== hashOf(line))
      .map(([, line]) => `${nameOf(line)} was changed`),
  ];
}

const fieldsOf = (line: string) =>
  line.split('\t') as [kind: string, name: string, detail: string, hash: string];

const keyOf = (line: string) => fieldsOf(line).slice(0, 2).join('\t');

const hashOf = (line: string | undefined) => (line === undefined ? null : fieldsOf(line)[3]);

function nameOf(line: string): string {
  const [kind, name, detail] = fieldsOf(line);
  return `${kind} ${name}${detail === '' ? '' : ` (${detail})`}`;
}
