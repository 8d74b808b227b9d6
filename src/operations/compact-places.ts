import { ident, integer, literal, type Sql, sql, toBoundStatement } from '../target/sql.ts';
import type { OperationContext } from './define-operation.ts';
import { RowPlaces } from './row-places.ts';

type Place = Pick<OperationContext, 'session' | 'relation'>;

/** Read in one go: whoever wants to change the table waits for no more than that. */
const BLOCKS_AT_ONCE = 8_192;

/** Places of so many rows, from a block on. */
export async function listFrom(place: Place, block: number, limit: number): Promise<RowPlaces> {
  const places = new RowPlaces();
  const end = await countBlocks(place);
  for (let first = block; first < end && places.size < limit; first += BLOCKS_AT_ONCE)
    await listInto(places, place, first, limit - places.size);
  return places;
}

async function listInto(
  places: RowPlaces,
  { session, relation }: Place,
  first: number,
  limit: number,
): Promise<void> {
  const statement = toBoundStatement(sql`
    COPY (SELECT ctid FROM ONLY ${ident(relation.schema, relation.name)}
           WHERE ctid >= ${blockStart(first)} AND ctid < ${blockStart(first + BLOCKS_AT_ONCE)}
           ORDER BY ctid LIMIT ${integer(limit)}) TO STDOUT`);
  await session.transaction(() =>
    session.copyOut(statement, (chunk, start, end) => places.read(chunk.subarray(start, end))),
  );
}

/** The first block, from one on, behind which no row is that anybody new would see; looked for from the end. */
export async function endOfRows(place: Place, block: number): Promise<number> {
  for (let end = await countBlocks(place); end > block; end -= BLOCKS_AT_ONCE) {
    const last = await lastBlock(place, Math.max(block, end - BLOCKS_AT_ONCE), end);
    if (last !== null) return last + 1;
  }
  return block;
}

async function lastBlock({ session, relation }: Place, first: number, end: number): Promise<number | null> {
  const { last } = await session.transaction(() =>
    session.one<{ last: number | null }>(sql`
      SELECT (pg_catalog.max(ctid)::pg_catalog.text::pg_catalog.point)[0] AS last
        FROM ONLY ${ident(relation.schema, relation.name)}
       WHERE ctid >= ${blockStart(first)} AND ctid < ${blockStart(end)}`),
  );
  return last;
}

const blockStart = (block: number): Sql => sql`${literal(`(${block},0)`)}::pg_catalog.tid`;

/** How many blocks the table has now. */
export async function countBlocks({ session, relation }: Place): Promise<number> {
  const { blocks } = await session.transaction(() =>
    session.one<{ blocks: number }>(sql`
      SELECT (pg_catalog.pg_relation_size(${integer(relation.oid)}::pg_catalog.oid)
              / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.float8 AS blocks`),
  );
  return blocks;
}
