import type { Column } from '../target/catalog-columns.ts';
import { fromCatalog, ident, join, type Sql, sql } from '../target/sql.ts';
import type { OperationContext } from './define-operation.ts';
import { Stop } from '../domain/stop.ts';
import { readRelation, type Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';

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
    await assertSameColumns(session, relation, holder);
  });
}

/** A column of another type would round or cut values on their way in, before any checksum sees them. */
async function assertSameColumns(
  session: Session,
  source: Relation,
  holder: { readonly schema: string; readonly name: string },
): Promise<void> {
  const kept = await readRelation(session, holder.schema, holder.name);
  const types = new Map(kept?.columns.map(({ name, type }) => [name, type]));
  const other = source.columns.find(({ name, type }) => types.get(name) !== type);
  if (!other && kept?.columns.length === source.columns.length) return;
  throw new Stop(
    'SCHEMA_DRIFT',
    `The archive table does not have the columns of ${source.schema}.${source.name} (${other?.name ?? 'it has more'}). Cancel and plan again.`,
  );
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
