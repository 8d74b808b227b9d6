import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { integer, join, type Sql, sql } from '../target/sql.ts';
import { placesCondition } from './pick-rows.ts';

/** Where a row is: in this table or partition, by its OID, at this place. */
export interface Place {
  readonly table: number;
  readonly block: number;
  readonly line: number;
}

/** Of a statement that gives "table" (float8) and "place" (the ctid's text). */
export async function readPlaces(session: Session, statement: Sql): Promise<Place[]> {
  const rows = await session.query<{ table: number; place: string }>(statement);
  return rows.map(({ table, place }) => {
    const [block, line] = place.slice(1, -1).split(',').map(Number) as [number, number];
    return { table, block, line };
  });
}

/** Whether the row that the alias stands for is at one of the places; each partition has places of its own. */
export function rowsAt(relation: Relation, places: readonly Place[], alias: Sql): Sql {
  if (places.length === 0) return sql`false`;
  if (relation.kind !== 'PARTITIONED') return sql`${alias}.${placesCondition(places)}`;
  const partitions = Map.groupBy(places, ({ table }) => table);
  const each = [...partitions].map(
    ([oid, own]) =>
      sql`(${alias}.tableoid = ${integer(oid)}::pg_catalog.oid AND ${alias}.${placesCondition(own)})`,
  );
  return sql`(${join(each, ' OR ')})`;
}
