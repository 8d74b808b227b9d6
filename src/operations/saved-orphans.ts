import type { Orphan } from '../domain/filter.ts';
import type { Relation } from '../target/catalog.ts';
import type { Column } from '../target/catalog-columns.ts';
import { findsKey } from '../target/finds-key.ts';
import type { Session } from '../target/session.ts';
import { fromCatalog, ident, join, literal, type Sql, sql, toText } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';

/** Writers of the referenced table wait for us from here to the COMMIT, and behind us while we wait for others. */
const LOCK_MS = 100;

/**
 * What the rows point to, kept on the server until the end of the transaction: once they are gone nothing else tells it. Values are text
 * there, so that any type of column will do.
 */
export async function keepKeys(
  session: Session,
  relation: Relation,
  orphan: Orphan,
  places: Sql,
): Promise<void> {
  const settings = columnsOf(relation, orphan).map(({ name }, i) => {
    const values = sql`pg_catalog.array_agg(${ident(name)}::pg_catalog.text)::pg_catalog.text`;
    return sql`pg_catalog.length(pg_catalog.set_config(${setting(i)}, coalesce(${values}, '{}'), true))`;
  });
  await session.query(
    sql`SELECT ${join(settings, ', ')} FROM ONLY ${ident(relation.schema, relation.name)} WHERE ${places}`,
  );
}

/**
 * The last word before the COMMIT. Whoever inserts a row that orphans point to conflicts with the SHARE lock: what was begun before is
 * waited for and seen, what comes later finds the orphans gone. So no row goes whose referenced row was there before it.
 * @throws TargetError RETRY when a row has come, LOCKED when the referenced table cannot be had
 */
export async function refuseSaved(session: Session, relation: Relation, orphan: Orphan): Promise<void> {
  const { references } = orphan;
  await session.script(
    `SET LOCAL lock_timeout = ${LOCK_MS}; LOCK TABLE ${toText(ident(references.schema, references.table))} IN SHARE MODE`,
  );
  const { saved } = await session.one<{ saved: boolean }>(
    sql`SELECT ${anyKeyFound(relation, orphan)} AS saved`,
  );
  if (!saved) return;
  throw new TargetError(
    'RETRY',
    null,
    `Rows of ${references.schema}.${references.table} came while rows that point to them were being removed. Nothing of this batch is gone; resume the run.`,
    null,
  );
}

function anyKeyFound(relation: Relation, orphan: Orphan): Sql {
  const columns = columnsOf(relation, orphan);
  const lists = columns.map(
    (_, i) => sql`pg_catalog.unnest(pg_catalog.current_setting(${setting(i)})::pg_catalog.text[])`,
  );
  const names = columns.map((_, i) => ident(`value ${i}`));
  const values = columns.map(({ type, comparison }, i) => ({
    sql: sql`${names[i] as Sql}::${fromCatalog(type)}`,
    type: comparison.type,
  }));
  return sql`EXISTS (SELECT FROM ROWS FROM (${join(lists, ', ')}) AS gone(${join(names, ', ')}) WHERE ${findsKey(orphan, values)})`;
}

const columnsOf = ({ columns }: Relation, { pairs }: Orphan): Column[] =>
  pairs.flatMap((pair) => columns.find(({ name }) => name === pair.column) ?? []);

const setting = (i: number): Sql => literal(`declutter.key${i}`);
