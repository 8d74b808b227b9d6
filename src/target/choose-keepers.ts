import type { DuplicateKey, KeepRule } from '../domain/plan.ts';
import type { Relation } from './catalog.ts';
import { hasWholeKey, keyValue } from './duplicate-key.ts';
import type { Place } from './duplicate-places.ts';
import { isOneOf, type Pair, placeOf } from './row-pairs.ts';
import type { Session } from './session.ts';
import { ident, join, type Sql, sql } from './sql.ts';

export interface KeeperQuestion {
  readonly relation: Relation;
  readonly key: readonly DuplicateKey[];
  readonly keep: KeepRule;
  /** which rows count; null: all */
  readonly filter: Sql | null;
}

/**
 * Which of the rows at these places go, and which stays for each, by their values as they are now. lock: nobody changes or
 * references them until the transaction ends; a row that somebody was changing is seen as it came to be.
 */
export async function chooseKeepers(
  session: Session,
  { relation, key, keep, filter }: KeeperQuestion,
  places: readonly Place[],
  { lock }: { readonly lock: boolean },
): Promise<Pair[]> {
  const values = key.map((part, i) => sql`${keyValue(part)} AS ${keyName(i)}`);
  const ties = (relation.primaryKey ?? []).map((name, i) => sql`${ident(name)} AS ${tieName(i)}`);
  const order = [
    sql`rank ${keep.order === 'LOWEST' ? sql`ASC` : sql`DESC`} NULLS LAST`,
    ...ties.map((_, i) => tieName(i)),
    sql`place`,
  ];
  const condition = sql`${hasWholeKey(relation, key)}${filter === null ? sql`` : sql` AND (${filter})`}`;
  const rows = await session.query<{ gone: string; stays: string }>(sql`
    WITH equal AS MATERIALIZED (
      SELECT ctid AS place, ${join([sql`${ident(keep.by)} AS rank`, ...values, ...ties], ', ')}
        FROM ONLY ${ident(relation.schema, relation.name)}
       WHERE ${isOneOf(sql`ctid`, places)} AND ${condition}${lock ? sql` FOR UPDATE` : sql``})
    SELECT place::pg_catalog.text AS gone, stays::pg_catalog.text AS stays
      FROM (SELECT place, pg_catalog.first_value(place) OVER (
                     PARTITION BY ${join(
                       key.map((_, i) => keyName(i)),
                       ', ',
                     )} ORDER BY ${join(order, ', ')}) AS stays
              FROM equal) AS chosen
     WHERE place OPERATOR(pg_catalog.<>) stays ORDER BY chosen.place`);
  return rows.map(({ gone, stays }) => ({ gone: placeOf(gone), stays: placeOf(stays) }));
}

const keyName = (i: number): Sql => ident(`key ${i}`);
const tieName = (i: number): Sql => ident(`tie ${i}`);
