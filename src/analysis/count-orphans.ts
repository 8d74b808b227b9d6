import { ident, integer, join, type Sql, sql } from '../target/sql.ts';
import { type NotRead, isNotRead, type RowReader } from './row-reader.ts';
import type { Reference } from './read-references.ts';

/** What was seen of rows whose reference leads nowhere. */
export interface OrphanCount {
  /** COUNT: every row was looked at */
  readonly method: 'SAMPLE' | 'COUNT';
  /** that have a value, among those that were read */
  readonly rows: number;
  readonly orphans: number;
  /** different values that were looked up, and those of them that the other table has not */
  readonly values: number;
  readonly missing: number;
  /** of all rows that were read, those that have a value: 0..1 */
  readonly filled: number;
}

const SAMPLED_PAGES = 300;
const SAMPLED_ROWS = 50_000;
const LOOKED_UP = 2_000;

interface SampleRow {
  read: number;
  filled: number;
  rows: number;
  orphans: number;
  values: number;
  missing: number;
}

/** A parent of no more pages is read whole, by which it does not begin to look used. */
const SMALL_PAGES = 1_000;

/** Whether values are looked up by the parent's index, which counts as its use. */
export const looksUp = ({ parent }: Reference): boolean => parent.pages > SMALL_PAGES;

/** Values of some pages of the child, each looked up once: in a large parent by its unique index alone. */
export async function sampleOrphans(rows: RowReader, reference: Reference): Promise<OrphanCount | NotRead> {
  const { pages } = reference.child;
  const share = Math.min(100, (100 * SAMPLED_PAGES) / Math.max(pages, 1));
  const answer = await rows.sample<SampleRow>(sampleQuery(reference, share), {
    byIndex: looksUp(reference),
  });
  if (isNotRead(answer)) return answer;
  const isWhole = share === 100 && answer.read < SAMPLED_ROWS && answer.values < LOOKED_UP;
  const filled = answer.read === 0 ? 0 : answer.filled / answer.read;
  return { ...answer, filled, method: isWhole ? 'COUNT' : 'SAMPLE' };
}

const names = (prefix: string, columns: readonly string[]) =>
  columns.map((_, i) => ident(`${prefix}${i + 1}`));
const column = (alias: string, name: string) => ident(alias, name);
const all = (parts: readonly Sql[]) => join(parts, ' AND ');

function sampleQuery(reference: Reference, share: number): Sql {
  const { child, columns } = reference;
  const keys = names('k', columns);
  const picked = columns.map((name, i) => sql`${column('c', name)} AS ${keys[i] as Sql}`);
  const filled = all(keys.map((key) => sql`${key} IS NOT NULL`));
  return sql`
    WITH picked AS MATERIALIZED (
      SELECT ${join(picked, ', ')} FROM ${child.from} AS c TABLESAMPLE system (${String(share)}::float4) REPEATABLE (1)
       LIMIT ${integer(SAMPLED_ROWS)}
    ), v AS MATERIALIZED (
      SELECT ${join(keys, ', ')}, count(*) AS n FROM picked WHERE ${filled} GROUP BY ${join(keys, ', ')}
       ORDER BY hashtext(concat_ws(',', ${join(keys, ', ')})) LIMIT ${integer(LOOKED_UP)}
    )
    SELECT (SELECT count(*) FROM picked)::float8 AS read, (SELECT count(*) FROM picked WHERE ${filled})::float8 AS filled,
           coalesce(sum(v.n), 0)::float8 AS rows, coalesce(sum(v.n) FILTER (WHERE x.found IS NULL), 0)::float8 AS orphans,
           count(*)::float8 AS values, count(*) FILTER (WHERE x.found IS NULL)::float8 AS missing
      FROM v LEFT JOIN ${foundIn(reference, keys)}`;
}

function foundIn(reference: Reference, keys: readonly Sql[]): Sql {
  const { parent, parentColumns } = reference;
  const own = parentColumns.map((name) => column('p', name));
  if (looksUp(reference)) {
    const equal = all(own.map((name, i) => sql`${name} = v.${keys[i] as Sql}`));
    return sql`LATERAL (SELECT true AS found FROM ${parent.from} AS p WHERE ${equal} LIMIT 1) x ON true`;
  }
  const named = own.map((name, i) => sql`${name} AS ${keys[i] as Sql}`);
  const equal = all(keys.map((key) => sql`x.${key} = v.${key}`));
  return sql`(SELECT true AS found, ${join(named, ', ')} FROM ${parent.from} AS p ${WHOLE}) x ON ${equal}`;
}

/** All of it, by a scan that is not counted as use. */
const WHOLE = sql`TABLESAMPLE system (100)`;

/** Every row, in one pass over both tables; what the sample saw of values stays as it is. */
export async function countOrphans(
  rows: RowReader,
  reference: Reference,
  sampled: OrphanCount,
): Promise<OrphanCount | NotRead> {
  const { child, columns, parent, parentColumns } = reference;
  const filled = all(columns.map((name) => sql`${column('c', name)} IS NOT NULL`));
  const equal = all(
    parentColumns.map((name, i) => sql`${column('p', name)} = ${column('c', columns[i] as string)}`),
  );
  const bytes = child.table.heapBytes + parent.table.heapBytes;
  const answer = await rows.whole<{ orphans: number; missing: number }>(
    bytes,
    sql`SELECT coalesce(sum(o.n), 0)::float8 AS orphans, count(*)::float8 AS missing
          FROM (SELECT count(*) AS n FROM ${child.from} AS c ${WHOLE}
                 WHERE ${filled} AND NOT EXISTS (SELECT FROM ${parent.from} AS p ${WHOLE} WHERE ${equal})
                 GROUP BY ${join(
                   columns.map((name) => column('c', name)),
                   ', ',
                 )}) o`,
  );
  if (isNotRead(answer)) return answer;
  return { ...sampled, ...answer, rows: Math.round(child.table.liveRows * sampled.filled), method: 'COUNT' };
}
