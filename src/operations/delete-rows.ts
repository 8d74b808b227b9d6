import type { ForeignKey, Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, join, type Sql, sql } from '../target/sql.ts';
import { Stop } from '../domain/stop.ts';
import { placesCondition } from './pick-rows.ts';

/**
 * The rows of a batch as a condition for DELETE. Where PostgreSQL itself would change the rows that reference them (CASCADE,
 * SET NULL, SET DEFAULT), the rows are locked first and must have no such references: a child that comes meanwhile has to
 * wait for our lock, and is never carried off silently. NO ACTION and RESTRICT are left to PostgreSQL, which refuses.
 */
export async function deletable(session: Session, relation: Relation, where: Sql, filter: Sql): Promise<Sql> {
  const dangerous = relation.inbound.filter(
    ({ onDelete, enforced }) => enforced && onDelete !== 'NO_ACTION' && onDelete !== 'RESTRICT',
  );
  if (dangerous.length === 0) return sql`${where} AND (${filter})`;
  const locked = await lockRows(session, relation, where, filter);
  if (!locked) return sql`false`;
  for (const key of dangerous) await refuseReferenced(session, relation, key, locked);
  return sql`${locked} AND (${filter})`;
}

/** The rows that the filter chooses, locked, by their places; null: none. */
export async function lockRows(
  session: Session,
  relation: Relation,
  where: Sql,
  filter: Sql,
): Promise<Sql | null> {
  const rows = await session.query<{ place: string }>(sql`
    SELECT ctid::pg_catalog.text AS place FROM ONLY ${ident(relation.schema, relation.name)}
     WHERE ${where} AND (${filter}) FOR UPDATE`);
  if (rows.length === 0) return null;
  return placesCondition(
    rows.map(({ place }) => {
      const [block, line] = place.slice(1, -1).split(',').map(Number) as [number, number];
      return { block, line };
    }),
  );
}

async function refuseReferenced(
  session: Session,
  relation: Relation,
  key: ForeignKey,
  locked: Sql,
): Promise<void> {
  // The key's own operators, with the referenced value on the left, as PostgreSQL itself compares.
  const pairs = key.columns.map(
    (column, i) =>
      sql`parent.${ident(key.referencedColumns[i] as string)} ${fromCatalog(key.operators[i] as string)} child.${ident(column)}`,
  );
  const selfExcept = key.tableOid === relation.oid ? sql`AND NOT (child.${locked})` : sql``;
  const { referenced } = await session.one<{ referenced: boolean }>(sql`
    SELECT EXISTS (
      SELECT FROM ONLY ${ident(relation.schema, relation.name)} AS parent
        JOIN ${ident(key.schema, key.table)} AS child ON ${join(pairs, ' AND ')}
       WHERE parent.${locked} ${selfExcept}) AS referenced`);
  if (referenced) {
    throw new Stop(
      'DEPENDENTS',
      `Rows of ${key.schema}.${key.table} reference rows that were to be removed (${key.name}), and the plan refuses dependents. ` +
        'Remove or re-point them, then resume; or cancel and plan again.',
    );
  }
}
