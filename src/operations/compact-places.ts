import { ident, integer, literal, sql, toBoundStatement } from '../target/sql.ts';
import type { OperationContext } from './define-operation.ts';
import { RowPlaces } from './row-places.ts';

type Place = Pick<OperationContext, 'session' | 'relation'>;

/** Places of so many rows, from a block on. */
export async function listFrom(
  { session, relation }: Place,
  block: number,
  limit: number,
): Promise<RowPlaces> {
  const statement = toBoundStatement(sql`
    COPY (SELECT ctid FROM ONLY ${ident(relation.schema, relation.name)} WHERE ctid >= ${literal(`(${block},0)`)}::pg_catalog.tid
           ORDER BY ctid LIMIT ${integer(limit)}) TO STDOUT`);
  const places = new RowPlaces();
  await session.transaction(async () => {
    await session.longRead();
    await session.copyOut(statement, (chunk, start, end) => places.read(chunk.subarray(start, end)));
  });
  return places;
}

/** How many blocks the table has now. */
export async function countBlocks({ session, relation }: Place): Promise<number> {
  const { blocks } = await session.transaction(() =>
    session.one<{ blocks: number }>(sql`
      SELECT (pg_catalog.pg_relation_size(${integer(relation.oid)}::pg_catalog.oid)
              / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.float8 AS blocks`),
  );
  return blocks;
}
