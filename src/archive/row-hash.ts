import { type Sql, sql } from '../target/sql.ts';

/** A hash of a row's text that can be summed up: the sum tells a set of rows, whatever their order. */
export const rowHash = (row: Sql): Sql =>
  sql`pg_catalog.hashtextextended(${row}::pg_catalog.text COLLATE "C", 0)::pg_catalog.numeric`;
