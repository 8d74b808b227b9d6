import type { DuplicateKey } from '../domain/plan.ts';
import type { Relation } from '../target/catalog.ts';
import { HASH_VALUES, hasWholeKey, readKeyHash } from '../target/duplicate-key.ts';
import { type DuplicatePlaces, findDuplicatePlaces } from '../target/duplicate-places.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, type Sql, sql } from '../target/sql.ts';
import { type Budget, estimateRows } from './budget.ts';

export interface FoundDuplicates {
  /** rows beyond the first of each key */
  readonly rows: number;
  readonly rowsAreExact: boolean;
  /** null: the time was up, or there are more than a list holds */
  readonly places: DuplicatePlaces | null;
}

/** filter: null, all rows count. Null: the key has a type that cannot be hashed. */
export async function findDuplicates(
  session: Session,
  budget: Budget,
  relation: Relation,
  key: readonly DuplicateKey[],
  filter: Sql | null,
): Promise<FoundDuplicates | null> {
  const hash = await readKeyHash(session, relation, key);
  if (hash === null) return null;
  const whole = hasWholeKey(relation, key);
  const rows = {
    table: ident(relation.schema, relation.name),
    hash,
    where: filter === null ? whole : sql`${whole} AND ${filter}`,
    estimatedRows: Math.max(relation.estimatedRows, relation.pages),
  };
  const all = { from: 0, to: HASH_VALUES };
  const list = await budget.within(session, () => findDuplicatePlaces(session, rows, all));
  if (list === null) return { rows: await guess(session, rows), rowsAreExact: false, places: null };
  const { found, range } = list;
  const surplus = found.rows - found.groups;
  return range.to === HASH_VALUES
    ? { rows: surplus, rowsAreExact: true, places: found }
    : { rows: Math.round((surplus * HASH_VALUES) / range.to), rowsAreExact: false, places: null };
}

/** What PostgreSQL's statistics make of it: rows without as many as it expects to be different. */
async function guess(
  session: Session,
  { table, hash, where }: { table: Sql; hash: Sql; where: Sql },
): Promise<number> {
  const counted = await estimateRows(session, sql`SELECT FROM ONLY ${table} WHERE ${where}`);
  const different = await estimateRows(
    session,
    sql`SELECT ${hash} FROM ONLY ${table} WHERE ${where} GROUP BY ${integer(1)}`,
  );
  return Math.max(0, counted - different);
}
