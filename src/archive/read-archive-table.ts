import type { ArchiveContent } from '../domain/archive-content.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, literal, type Sql, sql } from '../target/sql.ts';
import type { SourceArchive, StoredBatch, StoredPiece } from './source-archive.ts';

/** The batches of an archive in tables, where they can be told apart. Reads each table once. */
export async function readArchiveTable(session: Session, content: ArchiveContent): Promise<SourceArchive> {
  const { batchColumn, parts = [] } = content;
  if (batchColumn === undefined) return { content, batches: [] };
  const batches = new Map<number, StoredBatch>();
  for (const { number, holder } of [{ number: 0, holder: content.holder }, ...parts]) {
    if (holder === null) continue;
    for (const found of await batchesIn(session, ident(holder.schema, holder.name), ident(batchColumn))) {
      const { rows, pieces } = batches.get(found.batch) ?? { rows: 0, pieces: [] };
      const piece: StoredPiece = { part: number, from: placesOf(found, ident(batchColumn)) };
      batches.set(found.batch, { rows: rows + found.rows, pieces: [...pieces, piece] });
    }
  }
  const ordered = [...batches].toSorted(([a], [b]) => a - b);
  return { content, batches: ordered.map(([, batch]) => batch) };
}

interface Found {
  readonly batch: number;
  readonly rows: number;
  readonly first: string;
  readonly last: string;
}

const batchesIn = (session: Session, holder: Sql, batch: Sql): Promise<Found[]> =>
  session.transaction(async () => {
    await session.longRead();
    return session.query<Found>(sql`
      SELECT kept.${batch}::pg_catalog.float8 AS batch, pg_catalog.count(*)::pg_catalog.int4 AS rows,
             pg_catalog.min(kept.ctid)::pg_catalog.text AS first, pg_catalog.max(kept.ctid)::pg_catalog.text AS last
        FROM ONLY ${holder} AS kept GROUP BY kept.${batch} ORDER BY 1`);
  });

/** A range of places, so that a batch is found without an index. */
const placesOf = ({ batch, first, last }: Found, column: Sql): Sql =>
  sql`ctid >= ${literal(first)}::pg_catalog.tid AND ctid <= ${literal(last)}::pg_catalog.tid AND ${column} = ${integer(batch)}`;
