import type { DuplicateKey } from '../domain/plan.ts';
import type { Column } from './catalog-columns.ts';
import type { Relation } from './catalog.ts';
import type { Session } from './session.ts';
import { fromCatalog, ident, join, type Sql, sql, toText } from './sql.ts';
import { TargetError } from './sqlstate.ts';

export function keyColumn(relation: Relation, { column: name }: Pick<DuplicateKey, 'column'>): Column {
  const column = relation.columns.find((one) => one.name === name);
  if (column === undefined) throw new TypeError(`No column ${name}`);
  return column;
}

/** A value as it is compared, and as the unique index that keeps the key clean has it. */
export function keyValue({ column, ignoreCase, trim }: DuplicateKey): Sql {
  const plain = ident(column);
  if (!ignoreCase && !trim) return plain;
  const text = sql`${plain}::pg_catalog.text`;
  const trimmed = trim ? sql`pg_catalog.btrim(${text})` : text;
  return ignoreCase ? sql`pg_catalog.lower(${trimmed})` : trimmed;
}

/** Rows that have a whole key: a NULL equals nothing. */
export const hasWholeKey = (relation: Relation, key: readonly DuplicateKey[]): Sql =>
  join(
    key.map((part) =>
      keyColumn(relation, part).composite
        ? sql`${ident(part.column)} IS DISTINCT FROM NULL`
        : sql`${ident(part.column)} IS NOT NULL`,
    ),
    ' AND ',
  );

/** The index that keeps it so, once one row of each key is left. */
export function uniqueIndexSql(relation: Relation, key: readonly DuplicateKey[], filter: Sql | null): string {
  const parts = key.map((part) =>
    part.ignoreCase || part.trim ? sql`(${keyValue(part)})` : ident(part.column),
  );
  const where = filter === null ? sql`` : sql` WHERE ${filter}`;
  // An index of a partition is like that of any table.
  return toText(
    sql`CREATE UNIQUE INDEX CONCURRENTLY ON ${ident(relation.schema, relation.name)} (${join(parts, ', ')})${where}`,
  );
}

/** Whole numbers up to here are exact in JavaScript. */
export const HASH_VALUES = 2 ** 53;

/** Types that PostgreSQL orders and does not hash; equal values have one text. */
const HASHED_AS_TEXT = new Set([
  'pg_catalog.money',
  'pg_catalog."bit"',
  'bit varying',
  'pg_catalog.tsvector',
  'pg_catalog.tsquery',
]);

/**
 * A whole number from 0 up to HASH_VALUES, the same for equal keys: by the types' own hash functions, under the columns'
 * collations. Null: PostgreSQL has none for a type, and equal values of it may have different texts.
 */
export async function readKeyHash(
  session: Session,
  relation: Relation,
  key: readonly DuplicateKey[],
): Promise<Sql | null> {
  const parts: Sql[] = [];
  for (const part of key) {
    const hashed = await hashedValue(session, keyColumn(relation, part), part);
    if (hashed === null) return null;
    parts.push(hashed);
  }
  const hash = sql`pg_catalog.hash_record_extended(ROW(${join(parts, ', ')}), 0)`;
  return sql`(${hash} OPERATOR(pg_catalog.&) 9007199254740991)`;
}

async function hashedValue(session: Session, column: Column, part: DuplicateKey): Promise<Sql | null> {
  const value = keyValue(part);
  if (part.ignoreCase || part.trim) return value;
  const type = fromCatalog(column.type);
  if (await works(session, sql`pg_catalog.hash_record_extended(ROW(NULL::${type}), 0)`)) return value;
  // Types of extensions may have the older function of 32 bits only.
  if (await works(session, sql`pg_catalog.hash_record(ROW(NULL::${type}))`))
    return sql`pg_catalog.hash_record(ROW(${value}))`;
  if (!HASHED_AS_TEXT.has(column.comparison.type.replace(/\[\]$/, ''))) return null;
  return sql`(${value}::pg_catalog.text COLLATE pg_catalog."C")`;
}

/** Asked of the server itself: it looks for the function before it looks at the value. */
async function works(session: Session, expression: Sql): Promise<boolean> {
  try {
    await session.transaction(() => session.query(sql`SELECT ${expression} AS hash`));
    return true;
  } catch (error) {
    if (error instanceof TargetError && error.sqlstate === '42883') return false;
    throw error;
  }
}
