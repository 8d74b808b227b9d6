import type { Session } from '../target/session.ts';
import { ident, integer, join, sql, type Sql } from '../target/sql.ts';
import { isRefusal, readCatalog, readUnlocked, userSchemas } from './catalog-query.ts';

/** A sequence with all columns of whole numbers that its values end up in. */
export interface SequenceFigures {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** smallint, integer, bigint */
  readonly type: string;
  readonly start: bigint;
  readonly min: bigint;
  readonly max: bigint;
  readonly increment: bigint;
  readonly cycles: boolean;
  /** the last value it has given; null when it could not be read */
  readonly last: bigint | null;
  /** narrowest first, partitions left out */
  readonly columns: readonly FedColumn[];
}

export interface FedColumn {
  readonly table: number;
  readonly schema: string;
  readonly name: string;
  readonly column: string;
  /** bytes: 2, 4 or 8 */
  readonly width: 2 | 4 | 8;
  /** by default or ownership; else by a foreign key to such a column */
  readonly direct: boolean;
  /** a unique index on it alone */
  readonly unique: boolean;
}

export async function readSequences(session: Session): Promise<SequenceFigures[]> {
  const rows = await readUnlocked<RawSequence>(session, sequencesQuery);
  const values = await lastValues(
    session,
    rows.filter((row) => row.readable),
  );
  return rows.map((row) => ({
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    type: row.type,
    start: BigInt(row.start),
    min: BigInt(row.min),
    max: BigInt(row.max),
    increment: BigInt(row.increment),
    cycles: row.cycles,
    last: values.get(row.oid) ?? null,
    columns: row.columns ?? [],
  }));
}

interface RawSequence {
  oid: number;
  schema: string;
  name: string;
  type: string;
  start: string;
  min: string;
  max: string;
  increment: string;
  cycles: boolean;
  readable: boolean;
  columns: FedColumn[] | null;
}

/** From a sequence to the columns that own it or have it as their default, and on by the foreign keys that refer to these. */
const sequencesQuery = (locked: Sql) => sql`
  WITH RECURSIVE locked AS MATERIALIZED (${locked}), direct AS MATERIALIZED (
    SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid::pg_catalog.int2 AS number
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_sequence q ON q.seqrelid = d.objid
     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
       AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
    UNION
    SELECT d.refobjid, f.adrelid, f.adnum
      FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_sequence q ON q.seqrelid = d.refobjid JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
     WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  ), fed (sequence, relation, number, direct) AS (
    SELECT sequence, relation, number, true FROM direct
    UNION
    SELECT f.sequence, k.conrelid, p.own, false
      FROM fed f JOIN pg_catalog.pg_constraint k ON k.contype = 'f' AND k.confrelid = f.relation AND k.conparentid = 0
      CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) p (own, other)
     WHERE p.other = f.number
  ), target AS (
    SELECT f.sequence, f.relation, f.number, pg_catalog.bool_or(f.direct) AS direct FROM fed f GROUP BY f.sequence, f.relation, f.number
  ), ends AS MATERIALIZED (
    SELECT f.sequence, pg_catalog.json_agg(pg_catalog.json_build_object('table', t.oid::int8, 'schema', tn.nspname, 'name', t.relname, 'column', a.attname,
             'width', y.typlen, 'direct', f.direct, 'unique', EXISTS (
               SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = f.number))
             ORDER BY y.typlen, NOT f.direct, tn.nspname, t.relname, a.attname) AS columns
      FROM target f
      JOIN pg_catalog.pg_class t ON t.oid = f.relation AND t.relkind IN ('r', 'p') AND NOT t.relispartition
      JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = f.number AND NOT a.attisdropped
      JOIN pg_catalog.pg_type d ON d.oid = a.atttypid
      JOIN pg_catalog.pg_type y ON y.oid = coalesce(nullif(d.typbasetype, 0), d.oid) AND y.oid IN (20, 21, 23)
     GROUP BY f.sequence
  )
  SELECT q.seqrelid AS oid, n.nspname AS schema, c.relname AS name, pg_catalog.format_type(q.seqtypid, NULL) AS type,
         q.seqstart::text AS start, q.seqmin::text AS min, q.seqmax::text AS max, q.seqincrement::text AS increment, q.seqcycle AS cycles,
         pg_catalog.has_sequence_privilege(q.seqrelid, 'SELECT') AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND q.seqrelid NOT IN (SELECT relation FROM locked) AS readable, e.columns
    FROM pg_catalog.pg_sequence q
    JOIN pg_catalog.pg_class c ON c.oid = q.seqrelid AND c.relpersistence <> 't'
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN ends e ON e.sequence = q.seqrelid
   WHERE ${userSchemas} ORDER BY n.nspname, c.relname`;

/** So many in one statement, each locked in ACCESS SHARE mode meanwhile. */
const TOGETHER = 200;

interface Named {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/** pg_sequence_last_value would take a stronger lock than a SELECT does. */
async function lastValues(session: Session, sequences: readonly Named[]): Promise<Map<number, bigint>> {
  const values = new Map<number, bigint>();
  for (let i = 0; i < sequences.length; i += TOGETHER) {
    for (const [oid, last] of await lastOf(session, sequences.slice(i, i + TOGETHER))) values.set(oid, last);
  }
  return values;
}

/** One that is locked or gone keeps the others from being read: the list is halved until it stands alone. */
async function lastOf(session: Session, sequences: readonly Named[]): Promise<[number, bigint][]> {
  try {
    const rows = await readCatalog<{ oid: number; last: string }>(session, valuesQuery(sequences));
    return rows.map((row) => [row.oid, BigInt(row.last)]);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (sequences.length === 1) return [];
    const middle = Math.ceil(sequences.length / 2);
    return [
      ...(await lastOf(session, sequences.slice(0, middle))),
      ...(await lastOf(session, sequences.slice(middle))),
    ];
  }
}

const valuesQuery = (sequences: readonly Named[]) =>
  join(
    sequences.map(
      ({ oid, schema, name }) =>
        sql`SELECT ${integer(oid)}::oid AS oid, s.last_value::text AS last FROM ${ident(schema, name)} s`,
    ),
    ' UNION ALL ',
  );
