import { Stop } from '../domain/stop.ts';
import type { Relation } from '../target/catalog.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, literal, type Sql, sql, toText } from '../target/sql.ts';
import { BatchTooLarge } from './define-operation.ts';

/** An UPDATE of a row keeps it in its page as long as there is room: so often at most, as many rows as fit into a page. */
const MAX_PASSES = 320;
/** Passes in one message: the first pages are nearly full, the last nearly empty. */
const [FEW, MANY] = [2, 8];
const STAYED = 'declutter.stayed';
/**
 * From the second pass on PostgreSQL looks up each row's foreign keys, and waits where somebody holds the row that it finds. Whoever
 * does may wait for a row of ours: that has to end before anybody looks for a deadlock (deadlock_timeout, mostly 1 s).
 */
const PATIENCE_MS = 50;
const PAGE_BYTES = 8_192;
const SAVEPOINT = 'declutter_moves';

/** Blocks that rows are to leave. */
export interface Blocks {
  /** where they have to come to lie before */
  readonly first: number;
  /** all from first up to, and without, this one; or these */
  readonly end: number | readonly number[];
}

/** Rows to be moved. */
export interface Choice {
  /** their places */
  readonly rows: Sql;
  /** more rows are too many for one batch */
  readonly most: number;
  /** of the pages that they are in: more are too many */
  readonly maxBytes: number;
}

/** What has become of the rows that were picked. */
export interface Moved {
  readonly picked: number;
  /** that have left their blocks */
  readonly rows: number;
  /** of these, that have not come to lie before: there was no room */
  readonly above: number;
  /** the highest block before theirs that took one; null: none did */
  readonly landed: number | null;
}

interface Pass {
  readonly picked: number;
  /** of the first pass: that the picked rows were in */
  readonly blocks: number;
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

/** So many rows in some blocks; those that somebody has locked are left for later, so that nobody waits for anybody. */
export const rowsIn = ({ relation }: Mover, first: number, end: number, most: number): Sql => sql`
  SELECT ctid FROM ONLY ${ident(relation.schema, relation.name)} WHERE ctid >= ${place(first)} AND ctid < ${place(end)}
   LIMIT ${integer(most)} FOR NO KEY UPDATE SKIP LOCKED`;

/** The rows at some places, the same way. */
export const lockableRows = ({ relation }: Mover, where: Sql): Sql => sql`
  SELECT ctid FROM ONLY ${ident(relation.schema, relation.name)} WHERE ${where} FOR NO KEY UPDATE SKIP LOCKED`;

/**
 * Moves the chosen rows out of the blocks, inside the open transaction, by updates that change nothing. New versions go where the
 * free space map says; one that lands in the blocks again takes up room there, and is moved once more.
 * @throws BatchTooLarge; TargetError LOCKED, where somebody holds a row that one of them references; Stop, where a trigger keeps all
 */
export async function moveRows(session: Session, mover: Mover, choice: Choice, from: Blocks): Promise<Moved> {
  const again = moveSql(mover, { ...choice, rows: STAYED_ROWS }, from);
  const all = await firstPasses(session, mover, choice, [
    moveSql(mover, choice, from, BLOCKS),
    ...Array<string>(FEW).fill(again),
  ]);
  while ((all.at(-1)?.stayed ?? 0) > 0 && all.length < MAX_PASSES) {
    all.push(...(await passes(session, Array<string>(MANY).fill(again))));
  }
  const moved = movedBy(all);
  // Foreign keys that would be looked up at COMMIT: a batch that has to wait then could not leave its rows for later.
  if (moved.picked > 0) await session.script('SET CONSTRAINTS ALL IMMEDIATE');
  return moved;
}

const movedBy = (all: readonly Pass[]): Moved => ({
  picked: all[0]?.picked ?? 0,
  rows: (all[0]?.moved ?? 0) - (all.at(-1)?.stayed ?? 0),
  above: all.reduce((sum, { above }) => sum + above, 0),
  landed: highest(all.map(({ landed }) => landed)),
});

async function firstPasses(
  session: Session,
  mover: Mover,
  choice: Choice,
  statements: readonly string[],
): Promise<Pass[]> {
  const begin = [`SAVEPOINT ${SAVEPOINT}`, `SET LOCAL lock_timeout = ${PATIENCE_MS}`];
  const all = await passes(session, [...begin, ...statements]);
  assertFits(all[0], choice);
  if (!isKept(all[0])) return all;
  // What somebody has changed a moment before, only the next statement sees; by now we have locked it.
  const later = await passes(session, statements);
  assertFits(later[0], choice);
  if (isKept(later[0])) throw allKept(mover);
  return later;
}

function assertFits(first: Pass | undefined, { most, maxBytes }: Choice): void {
  if (first && first.picked > most) throw new BatchTooLarge('ROWS');
  if (first && first.blocks > 1 && first.blocks * PAGE_BYTES > maxBytes) throw new BatchTooLarge('BYTES');
}

const isKept = (first: Pass | undefined): boolean =>
  first !== undefined && first.picked > 0 && first.moved === 0;

const allKept = ({ relation: { schema, name } }: Mover): Stop =>
  new Stop(
    'ROWS_KEPT',
    `No row of ${schema}.${name} can be moved: a BEFORE UPDATE trigger skips updates that change nothing. Let it pass them and resume; or cancel, and take REPACK or VACUUM_FULL.`,
  );

/** The rows stay where they were. */
export const takeBack = (session: Session): Promise<unknown> =>
  session.script(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`);

async function passes(session: Session, statements: readonly string[]): Promise<Pass[]> {
  const results = await session.script(statements.join('; '));
  return results.flatMap(({ rows }) => rows as unknown as Pass[]);
}

/** Places that the last pass has left in the blocks: they are this transaction's own versions, which nobody else sees. */
const STAYED_ROWS = sql`SELECT pg_catalog.unnest(pg_catalog.current_setting(${literal(STAYED)})::pg_catalog.tid[])`;

const moveSql = (
  { relation, column }: Mover,
  { rows, most }: Choice,
  { first, end }: Blocks,
  blocks = sql`0`,
): string => {
  const within =
    typeof end === 'number'
      ? sql`ctid >= ${place(first)} AND ctid < ${place(end)}`
      : sql`${BLOCK} = ANY (${literal(`{${end.join(',')}}`)}::pg_catalog.float8[])`;
  return toText(sql`
    WITH picked (place) AS MATERIALIZED (${rows}), moved AS (
      UPDATE ONLY ${ident(relation.schema, relation.name)} SET ${ident(column)} = ${ident(column)}
       WHERE ctid = ANY (ARRAY(SELECT place FROM picked WHERE (SELECT pg_catalog.count(*) FROM picked) <= ${integer(most)}))
      RETURNING ctid)
    SELECT (SELECT pg_catalog.count(*)::pg_catalog.int4 FROM picked) AS picked, ${blocks} AS blocks,
           pg_catalog.count(*)::pg_catalog.int4 AS moved,
           pg_catalog.count(*) FILTER (WHERE ${within})::pg_catalog.int4 AS stayed,
           pg_catalog.count(*) FILTER (WHERE ctid >= ${place(first)} AND NOT (${within}))::pg_catalog.int4 AS above,
           pg_catalog.max(${BLOCK}) FILTER (WHERE ctid < ${place(first)}) AS landed,
           pg_catalog.set_config(${literal(STAYED)},
             coalesce(pg_catalog.array_agg(ctid) FILTER (WHERE ${within}), '{}')::pg_catalog.text, true) AS places
      FROM moved`);
};

const BLOCKS = sql`
  (SELECT pg_catalog.count(DISTINCT (place::pg_catalog.text::pg_catalog.point)[0])::pg_catalog.int4 FROM picked)`;

const BLOCK = sql`(ctid::pg_catalog.text::pg_catalog.point)[0]`;

const place = (block: number): Sql => sql`${literal(`(${block},0)`)}::pg_catalog.tid`;

const highest = (blocks: readonly (number | null)[]): number | null =>
  blocks.reduce((most, block) => (most === null || (block !== null && block > most) ? block : most), null);
