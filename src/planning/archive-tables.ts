import type { Relation } from '../target/catalog.ts';
import { integer, sql } from '../target/sql.ts';
import { listArchiveHolders } from '../store/archive-holders.ts';
import type { PlanContext } from './plan-context.ts';

/** Whether rows of an archive are in the table, or in a child of it. */
export async function isArchiveTable(
  { deps, database, session }: PlanContext,
  relation: Relation,
): Promise<boolean> {
  const holders = await listArchiveHolders(deps.store, database.id);
  const isHolder = ({ schema, name }: { schema: string; name: string }) =>
    holders.some((holder) => holder.schema === schema && holder.name === name);
  if (isHolder(relation)) return true;
  if (!relation.hasChildren || holders.length === 0) return false;
  const children = await session.query<{ schema: string; name: string }>(sql`
    SELECT n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_inherits i
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE i.inhparent = ${integer(relation.oid)} ORDER BY c.oid`);
  return children.some(isHolder);
}
