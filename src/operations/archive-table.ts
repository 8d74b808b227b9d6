import type { Column } from '../target/catalog-columns.ts';
import { fromCatalog, ident, join, type Sql, sql } from '../target/sql.ts';
import type { OperationContext } from './define-operation.ts';

/**
 * The archive table (when absent) and this run's own child of it. The parent has the source's columns and nothing else, so that
 * a query of it gives all archived rows; the child tells which of them are this run's, for verify, restore and expiry.
 */
export async function createHolder(
  { session, relation, holder }: OperationContext,
  destination: { readonly schema: string; readonly table: string },
): Promise<void> {
  if (!holder) throw new TypeError('An archive in a table needs a table');
  const parent = ident(destination.schema, destination.table);
  await session.transaction(async () => {
    await session.execute(sql`CREATE TABLE IF NOT EXISTS ${parent} (${columnDefinitions(relation.columns)})`);
    await session.execute(
      sql`CREATE TABLE IF NOT EXISTS ${ident(holder.schema, holder.name)} () INHERITS (${parent})`,
    );
  });
}

/** Name, type and collation of each column; no constraint, default or generation: an archive keeps values as they were. */
export function columnDefinitions(columns: readonly Pick<Column, 'name' | 'type' | 'collation'>[]): Sql {
  return join(
    columns.map(({ name, type, collation }) => {
      const collate = collation === null ? sql`` : sql` COLLATE ${fromCatalog(collation)}`;
      return sql`${ident(name)} ${fromCatalog(type)}${collate}`;
    }),
    ', ',
  );
}
