import { ident, integer, join, type Sql, sql } from '../target/sql.ts';
import type { KeyPart, SoftDelete } from './duplicate-keys.ts';
import { isNotRead, type NotRead, type RowReader } from './row-reader.ts';
import type { RowSubject } from './row-subjects.ts';

/** Whose duplicates are counted. Rows with a NULL in the key equal no other. */
export interface DuplicateQuestion {
  readonly subject: RowSubject;
  readonly parts: readonly KeyPart[];
  /** these rows count as deleted, and not as duplicates */
  readonly softDelete: SoftDelete | null;
  /** texts of spaces alone stand for no value */
  readonly skipsEmpty: boolean;
}

export interface DuplicateCount {
  /** COUNT: all rows were read. LOOK_UP: sampled rows, each looked up by an index. SAMPLE: equal rows within a sample. */
  readonly method: 'COUNT' | 'LOOK_UP' | 'SAMPLE';
  /** with a whole key, among those that were read */
  readonly rows: number;
  /** keys that more than one of these rows has */
  readonly groups: number;
  /** rows beyond the first of each group, as far as they were seen */
  readonly surplus: number;
  /** of these, the ones whose values are the same to the letter */
  readonly same: number;
  /** rows of the largest group */
  readonly largest: number;
  /** surplus rows in the whole table; of a SAMPLE only those that were seen, since most of them are seen by half */
  readonly estimated: number;
  /** rows with a whole key in the whole table */
  readonly filled: number;
}

const SAMPLED_PAGES = 1_000;
const POOL_PAGES = 100;
const LOOKED_UP = 1_000;
/** More rows under one key than this are not counted one by one. */
const MOST_MATCHES = 100;

interface Seen {
  rows: number;
  groups: number;
  surplus: number;
  same: number;
  largest: number;
}

/** Equal rows within some pages: each pair that is seen is one, but most pairs of a large table are not seen. */
export async function sampleDuplicates(
  rows: RowReader,
  question: DuplicateQuestion,
): Promise<DuplicateCount | NotRead> {
  const share = Math.min(100, (100 * SAMPLED_PAGES) / Math.max(question.subject.pages, 1));
  const seen = await rows.sample<Seen>(groupsQuery(question, share));
  if (isNotRead(seen)) return seen;
  return {
    ...seen,
    method: share === 100 ? 'COUNT' : 'SAMPLE',
    estimated: seen.surplus,
    filled: Math.round((100 * seen.rows) / share),
  };
}

export async function countDuplicates(
  rows: RowReader,
  question: DuplicateQuestion,
): Promise<DuplicateCount | NotRead> {
  const seen = await rows.whole<Seen>(question.subject.table.heapBytes, groupsQuery(question, 100));
  return isNotRead(seen) ? seen : { ...seen, method: 'COUNT', estimated: seen.surplus, filled: seen.rows };
}

const columnOf = (alias: string, { column }: KeyPart) => ident(alias, column);
const keys = (parts: readonly KeyPart[]) => parts.map((_, i) => ident(`k${i + 1}`));

/** A value as it is compared. */
export function comparable(part: KeyPart, value: Sql): Sql {
  const trimmed = part.trim ? sql`btrim(${value}::text)` : value;
  return part.ignoreCase ? sql`lower(${trimmed}${part.trim ? sql`` : sql`::text`})` : trimmed;
}

/** Of rows that have a whole key and are meant. */
export function isCounted(question: DuplicateQuestion, alias: string): Sql {
  const filled = question.parts.map((part) => sql`${columnOf(alias, part)} IS NOT NULL`);
  return join([...filled, ...exceptions(question, (column) => ident(alias, column))], ' AND ');
}

/** What keeps rows from being counted though they have a whole key; empty: nothing does. */
export function exceptions(
  { parts, softDelete, skipsEmpty }: DuplicateQuestion,
  named: (column: string) => Sql,
): Sql[] {
  const texts = parts.filter(({ trim }) => trim && skipsEmpty);
  const empty = texts.map(({ column }) => sql`btrim(${named(column)}::text) <> ''`);
  if (softDelete === null) return empty;
  const column = named(softDelete.column);
  return [...empty, softDelete.isFlag ? sql`${column} IS NOT TRUE` : sql`${column} IS NULL`];
}

/** First by the values as they are, then by what of them counts: so both are told apart in one pass. */
function groupsQuery(question: DuplicateQuestion, share: number): Sql {
  const { subject, parts } = question;
  const columns = parts.map((part) => columnOf('t', part));
  const named = columns.map((column, i) => sql`${column} AS ${keys(parts)[i] as Sql}`);
  const compared = keys(parts).map((key, i) => comparable(parts[i] as KeyPart, key));
  const sample = sql`TABLESAMPLE system (${String(share)}::float4) REPEATABLE (1)`;
  return sql`
    SELECT coalesce(sum(g.n), 0)::float8 AS rows, count(*) FILTER (WHERE g.n > 1)::float8 AS groups,
           coalesce(sum(g.n - 1), 0)::float8 AS surplus, coalesce(sum(g.same), 0)::float8 AS same,
           coalesce(max(g.n), 0)::float8 AS largest
      FROM (SELECT sum(v.n) AS n, sum(v.n - 1) AS same
              FROM (SELECT ${join(named, ', ')}, count(*) AS n FROM ${subject.from} AS t ${sample}
                     WHERE ${isCounted(question, 't')} GROUP BY ${join(columns, ', ')}) v
             GROUP BY ${join(compared, ', ')}) g`;
}

interface Found {
  read: number;
  filled: number;
  rows: number;
  groups: number;
  share: number;
  largest: number;
}

/** Sampled rows, each with all rows of the same values, by an index: what is found of the sample holds for the table. */
export async function lookUpDuplicates(
  rows: RowReader,
  question: DuplicateQuestion,
): Promise<DuplicateCount | NotRead> {
  const found = await rows.sample<Found>(lookUpQuery(question), { byIndex: true });
  if (isNotRead(found)) return found;
  const filled = (question.subject.table.liveRows * found.filled) / Math.max(found.read, 1);
  const surplus = Math.round((filled * found.share) / Math.max(found.rows, 1));
  return {
    method: 'LOOK_UP',
    rows: found.rows,
    groups: found.groups,
    surplus: found.groups,
    same: found.groups,
    largest: found.largest,
    estimated: Math.max(surplus, found.groups === 0 ? 0 : 1),
    filled: Math.round(filled),
  };
}

/** A row of n equal ones stands for 1 - 1/n rows too many. */
function lookUpQuery(question: DuplicateQuestion): Sql {
  const { subject, parts } = question;
  const named = parts.map((part, i) => sql`${columnOf('t', part)} AS ${keys(parts)[i] as Sql}`);
  const equal = parts.map((part, i) => sql`${columnOf('o', part)} = c.${keys(parts)[i] as Sql}`);
  const share = Math.min(100, (100 * POOL_PAGES) / Math.max(subject.pages, 1));

  return sql`
    WITH pool AS MATERIALIZED (
      SELECT ${join(named, ', ')}, ${isCounted(question, 't')} AS counted, hashtext(t.ctid::text) AS place
        FROM ${subject.from} AS t TABLESAMPLE system (${String(share)}::float4) REPEATABLE (1)
    ), c AS MATERIALIZED (SELECT * FROM pool WHERE counted ORDER BY place LIMIT ${integer(LOOKED_UP)})
    SELECT (SELECT count(*) FROM pool)::float8 AS read, (SELECT count(*) FROM pool WHERE counted)::float8 AS filled,
           count(*)::float8 AS rows, count(*) FILTER (WHERE x.n > 1)::float8 AS groups,
           coalesce(sum(1 - 1.0 / greatest(x.n, 1)), 0)::float8 AS share, coalesce(max(x.n), 0)::float8 AS largest
      FROM c CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
             SELECT FROM ${subject.from} AS o WHERE ${join(equal, ' AND ')} AND ${isCounted(question, 'o')}
              LIMIT ${integer(MOST_MATCHES)}) m) x`;
}
