import { partOf, stageName } from '../domain/archive-tables.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import { release } from '../release.ts';
import type { StoredBatch, StoredPiece } from '../archive/source-archive.ts';
import type { Session } from '../target/session.ts';
import { ident, join, type Sql, sql, toText } from '../target/sql.ts';
import { columnDefinitions } from './archive-table.ts';
import { PLACE } from './chosen-rows.ts';

const stageOf = (part: number): Sql => ident('pg_temp', stageName(part));

/** Temporary tables with the archive's columns, for rows that come from files. */
export async function makeStages(session: Session, content: ArchiveContent): Promise<void> {
  for (const { number, columns } of [{ number: 0, columns: content.columns }, ...(content.parts ?? [])]) {
    const definitions = columnDefinitions(columns.map((column) => ({ ...column, collation: null })));
    await session.transaction(() =>
      session.execute(
        sql`CREATE TEMPORARY TABLE IF NOT EXISTS ${ident(stageName(number))} (${definitions}) ON COMMIT DELETE ROWS`,
      ),
    );
  }
}

/** The rows of the batches by part, each a sub-select with their PLACE; those from files are copied into the stages. */
export async function stageBatches(
  session: Session,
  content: ArchiveContent,
  batches: readonly StoredBatch[],
): Promise<ReadonlyMap<number, Sql>> {
  const sources = new Map<number, Sql[]>();
  for (const { part, from } of batches.flatMap(({ pieces }) => pieces)) {
    const known = sources.get(part) ?? [];
    if (typeof from !== 'function') sources.set(part, [...known, rowsIn(content, part, from)]);
    else {
      await copyIn(session, part, from);
      sources.set(part, [sql`SELECT ctid AS ${PLACE}, * FROM ${stageOf(part)}`]);
    }
  }
  return new Map([...sources].map(([part, each]) => [part, sql`(${join(each, ' UNION ALL ')})`]));
}

async function copyIn(
  session: Session,
  part: number,
  read: Exclude<StoredPiece['from'], Sql>,
): Promise<void> {
  const bytes = await read();
  await session.copyIn(toText(sql`COPY ${stageOf(part)} FROM STDIN`), bytes);
  release(bytes);
}

/** Rows of a part's table that fulfil a condition. */
export function rowsIn(content: ArchiveContent, part: number, where: Sql): Sql {
  const { holder, columns } = partOf(content, part);
  if (holder === null) throw new TypeError('A part without a table');
  const names = columns.map(({ name }) => ident(name));
  return sql`SELECT ctid AS ${PLACE}, ${join(names, ', ')} FROM ONLY ${ident(holder.schema, holder.name)} WHERE ${where}`;
}
