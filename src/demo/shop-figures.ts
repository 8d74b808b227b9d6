import type { Session } from '../target/session.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';

/** Rows as the server counts them, and a sum over their text: equal sums, equal rows, whatever their order. */
export interface RowFigures {
  readonly rows: number;
  readonly sum: string;
}

/** What is counted, past the product: the same statement before and after, on whichever table holds the rows. */
export async function rowFigures(
  shop: Session,
  table: readonly [schema: string, name: string],
  columns: readonly string[],
  where: Sql,
): Promise<RowFigures> {
  const row = join(
    columns.map((column) => ident(column)),
    ', ',
  );
  return shop.one<RowFigures>(sql`
    SELECT pg_catalog.count(*)::int4 AS rows,
           pg_catalog.left(pg_catalog.md5(coalesce(pg_catalog.sum(pg_catalog.hashtextextended(ROW(${row})::text, 0)), 0)::text), 12) AS sum
      FROM ${ident(...table)} WHERE ${where}`);
}

export const EVENT_COLUMNS = ['id', 'occurred_at', 'customer_id', 'kind', 'request_id', 'payload'] as const;
export const CART_COLUMNS = ['id', 'customer_id', 'state', 'items', 'reserved_for', 'updated_at'] as const;
export const SESSION_COLUMNS = ['id', 'expires_at'] as const;

export const EVERYTHING = sql`true`;
export const before = (column: string, instant: string): Sql =>
  sql`${ident(column)} < ${instant}::timestamptz`;
