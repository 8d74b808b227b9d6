import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { ident, literal, type Sql, sql, toText } from '../target/sql.ts';

/** An UPDATE of a row keeps it in its page as long as there is room: so often at most, as many rows as fit into a page. */
const MAX_PASSES = 320;
/** Passes in one message: the first pages are nearly full, the last nearly empty. */
const [FEW, MANY] = [2, 8];
const STAYED = 'declutter.stayed';
const SAVEPOINT = 'declutter_moves';

/** Blocks that rows are to leave. */
export interface Blocks {
  /** where they have to come to lie before */
  readonly first: number;
  /** all from first up to, and without, this one; or these */
  readonly end: number | readonly number[];
}

/** What has become of the rows that were picked. */
export interface Moved {
  /** that have left their blocks */
  readonly rows: number;
  /** of these, that have not come to lie before: there was no room */
  readonly above: number;
  /** the highest block before theirs that took one; null: none did */
  readonly landed: number | null;
}

interface Pass {
  readonly moved: number;
  readonly stayed: number;
  readonly above: number;
  readonly landed: number | null;
}

export interface Mover {
  readonly relation: Pick<Relation, 'schema' | 'name'>;
  /** is set to itself */
  readonly column: string;
}

/** The rows in some blocks; those that somebody has locked are left for later, so that nobody waits for anybody. */
export const rowsIn = ({ relation }: Mover, first: number, end: number): Sql => sql`
  SELECT ctid FROM ONLY ${ident(relation.schema, relation.name)} WHERE ctid >= ${place(first)} AND ctid < ${place(end)}
     FOR NO KEY UPDATE SKIP LOCKED`;

/** The rows at some places, the same way. */
export const lockableRows = ({ relation }: Mover, where: Sql): Sql => sql`
  SELECT ctid FROM ONLY ${ident(relation.schema, relation.name)} WHERE ${where} FOR NO KEY UPDATE SKIP LOCKED`;

/**
 * Moves the picked rows out of the blocks, inside the open transaction, by updates that change nothing. New versions go where the
 * free space map says; one that lands in the blocks again takes up room there, and is moved once more.
 */
export async function moveRows(session: Session, mover: Mover, picked: Sql, from: Blocks): Promise<Moved> {
  const again = moveSql(mover, STAYED_ROWS, from);
  const begin = [`SAVEPOINT ${SAVEPOINT}`, moveSql(mover, picked, from)];
  const all = await passes(session, [...begin, ...Array<string>(FEW).fill(again)]);
  while ((all.at(-1)?.stayed ?? 0) > 0 && all.length < MAX_PASSES) {
    all.push(...(await passes(session, Array<string>(MANY).fill(again))));
  }
  return {
    rows: (all[0]?.moved ?? 0) - (all.at(-1)?.stayed ?? 0),
    above: all.reduce((sum, { above }) => sum + above, 0),
    landed: highest(all.map(({ landed }) => landed)),
  };
}

/** The rows stay where they were. */
export const takeBack = (session: Session): Promise<unknown> =>
  session.script(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`);

async function passes(session: Session, statements: readonly string[]): Promise<Pass[]> {
  const results = await session.script(statements.join('; '));
  return results.flatMap(({ rows }) => rows as unknown as Pass[]);
}

/** Places that the last pass has left in the blocks: they are this transaction's own versions, which nobody else sees. */
const STAYED_ROWS = sql`SELECT pg_catalog.unnest(pg_catalog.current_setting(${literal(STAYED)})::pg_catalog.tid[])`;

const moveSql = ({ relation, column }: Mover, picked: Sql, { first, end }: Blocks): string => {
  const within =
    typeof end === 'number'
      ? sql`ctid >= ${place(first)} AND ctid < ${place(end)}`
      : sql`${BLOCK} = ANY (${literal(`{${end.join(',')}}`)}::pg_catalog.float8[])`;
  return toText(sql`
    WITH moved AS (
      UPDATE ONLY ${ident(relation.schema, relation.name)} SET ${ident(column)} = ${ident(column)}
       WHERE ctid = ANY (ARRAY(${picked})) RETURNING ctid)
    SELECT pg_catalog.count(*)::pg_catalog.int4 AS moved,
           pg_catalog.count(*) FILTER (WHERE ${within})::pg_catalog.int4 AS stayed,
           pg_catalog.count(*) FILTER (WHERE ctid >= ${place(first)} AND NOT (${within}))::pg_catalog.int4 AS above,
           pg_catalog.max(${BLOCK}) FILTER (WHERE ctid < ${place(first)}) AS landed,
           pg_catalog.set_config(${literal(STAYED)},
             coalesce(pg_catalog.array_agg(ctid) FILTER (WHERE ${within}), '{}')::pg_catalog.text, true) AS places
      FROM moved`);
};

const BLOCK = sql`(ctid::pg_catalog.text::pg_catalog.point)[0]`;

const place = (block: number): Sql => sql`${literal(`(${block},0)`)}::pg_catalog.tid`;

const highest = (blocks: readonly (number | null)[]): number | null =>
  blocks.reduce((most, block) => (most === null || (block !== null && block > most) ? block : most), null);
