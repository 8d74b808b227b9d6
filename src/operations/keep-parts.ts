import type { Frame } from '../archive/segment-sink.ts';
import { rowHash } from '../archive/row-hash.ts';
import { partOf } from '../domain/archive-tables.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import type { Session } from '../target/session.ts';
import { ident, join, type Sql, sql, toBoundStatement } from '../target/sql.ts';
import { BatchTooLarge, type OperationContext, type StoredPart } from './define-operation.ts';
import { bufferOf } from './row-buffer.ts';

type Context = Pick<OperationContext, 'content' | 'sink'>;

/** Keeps what statements give in parts of the run's archive, within one batch's transaction. */
export interface PartKeeper {
  /** Answers with the number of rows. The statement gives the part's columns, in their order. */
  keep(part: number, statement: Sql): Promise<number>;
  /** Makes all of it durable. */
  store(): Promise<StoredPart[]>;
}

/** @throws BatchTooLarge from keep, when there are more bytes together */
export function partKeeper({ content, sink }: Context, session: Session, maxBytes: number): PartKeeper {
  if (content === null) throw new TypeError('Parts are kept in an archive');
  return content.holder === null ? inSegments(sink, session, maxBytes) : inTables(content, session);
}

function inSegments(sink: Context['sink'], session: Session, maxBytes: number): PartKeeper {
  const buffer = bufferOf(session);
  buffer.clear(maxBytes);
  const kept: {
    readonly part: number;
    readonly rows: number;
    readonly start: number;
    readonly end: number;
  }[] = [];
  return {
    keep: async (part, statement) => {
      const start = buffer.bytes.length;
      const rows = await session.copyOut(toBoundStatement(sql`COPY (${statement}) TO STDOUT`), buffer.add);
      if (buffer.isOver) throw new BatchTooLarge('BYTES');
      if (rows > 0) kept.push({ part, rows, start, end: buffer.bytes.length });
      return rows;
    },
    store: () => {
      const { bytes } = buffer;
      return all(
        kept.map(async ({ part, rows, start, end }) => ({
          part,
          rows,
          frame: await sink.append(session, bytes.subarray(start, end), rows, part),
        })),
      );
    },
  };
}

/** None is under way any more when this is done: a batch that is tried again must not meet one of its last try. */
async function all<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const done = await Promise.allSettled(work);
  return done.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}

function inTables(content: ArchiveContent, session: Session): PartKeeper {
  const kept: StoredPart[] = [];
  const numbers = [0, ...(content.parts ?? []).map(({ number }) => number)];
  return {
    keep: async (part, statement) => {
      const { columns, holder } = partOf(content, part);
      if (holder === null) throw new TypeError('A part without a table');
      const { rows, hash } = await keepInTable(session, holder, columns, statement);
      const frame: Frame = {
        segment: numbers.indexOf(part) + 1,
        start: 0,
        length: 0,
        sha256: null,
        rowHash: hash,
      };
      if (rows > 0) kept.push({ part, rows, frame });
      return rows;
    },
    store: () => Promise.resolve(kept),
  };
}

async function keepInTable(
  session: Session,
  holder: { readonly schema: string; readonly name: string },
  columns: ArchiveContent['columns'],
  statement: Sql,
): Promise<{ rows: number; hash: string }> {
  const names = join(
    columns.map(({ name }) => ident(name)),
    ', ',
  );
  const { given, rows, hash } = await session.one<{ given: number; rows: number; hash: string }>(sql`
    WITH given AS (${statement}),
         kept AS (INSERT INTO ${ident(holder.schema, holder.name)} AS kept (${names}) SELECT * FROM given RETURNING ${rowHash(sql`kept`)} AS hash)
    SELECT (SELECT pg_catalog.count(*) FROM given)::pg_catalog.int4 AS given, pg_catalog.count(*)::pg_catalog.int4 AS rows,
           coalesce(pg_catalog.sum(hash), 0)::pg_catalog.text AS hash FROM kept`);
  if (given === rows) return { rows, hash };
  throw new Stop(
    'ROWS_KEPT',
    `A trigger or rule of ${holder.schema}.${holder.name} keeps rows out of the archive. Remove it and resume.`,
  );
}
