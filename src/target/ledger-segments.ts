import { Fenced, fenceCheck } from './ledger.ts';
import type { Session } from './session.ts';
import { integer, type Sql, sql } from './sql.ts';

export interface LedgerSegment {
  readonly sequence: number;
  /** 0: the subject's rows. Told by the batches that wrote it, and not written itself */
  readonly part?: number;
  readonly location: string;
  readonly sealed: boolean;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string | null;
}

export interface LedgerFrame {
  readonly start: number;
  readonly length: number;
  readonly rows: number;
  readonly sha256: string;
}

/** For what is no batch: the list of segments. */
const CONTROL_LANE = 0;

export async function listSegments(session: Session, runId: string): Promise<LedgerSegment[]> {
  const rows = await session.query<
    Record<'sequence' | 'location' | 'rows' | 'bytes', string> & {
      sealed: boolean;
      sha256: string | null;
      part: number;
    }
  >(sql`
    SELECT sequence::pg_catalog.text AS sequence, location, sealed, rows::pg_catalog.text AS rows,
           bytes::pg_catalog.text AS bytes, sha256, coalesce(written.part, 0) AS part
      FROM declutter.segment AS s
      LEFT JOIN (SELECT segment, pg_catalog.min(part) AS part FROM declutter.part
                  WHERE run_id = ${runId}::pg_catalog.uuid AND segment IS NOT NULL GROUP BY segment) AS written ON written.segment = s.sequence
     WHERE run_id = ${runId}::pg_catalog.uuid ORDER BY s.sequence`);
  return rows.map((row) => ({
    ...row,
    sequence: Number(row.sequence),
    rows: Number(row.rows),
    bytes: Number(row.bytes),
  }));
}

/** The subject's rows of a batch are in one frame: those of the filter, and those that only came along (part 0). */
const framesOf = (runId: string): Sql => sql`
  SELECT b.number, 0 AS part, b.segment, b.start, b.length, b.rows + coalesce(own.rows, 0) AS rows, b.sha256, b.row_hash
    FROM declutter.batch AS b
    LEFT JOIN declutter.part AS own ON own.run_id = b.run_id AND own.number = b.number AND own.part = 0
   WHERE b.run_id = ${runId}::pg_catalog.uuid AND b.segment IS NOT NULL
   UNION ALL
  SELECT p.number, p.part, p.segment, p.start, p.length, p.rows, p.sha256, p.row_hash
    FROM declutter.part AS p WHERE p.run_id = ${runId}::pg_catalog.uuid AND p.segment IS NOT NULL`;

/** The committed frames of one segment, in order. */
export async function listFrames(session: Session, runId: string, segment: number): Promise<LedgerFrame[]> {
  const rows = await session.query<Record<'start' | 'length' | 'rows' | 'sha256', string>>(sql`
    SELECT start::pg_catalog.text AS start, length::pg_catalog.text AS length, rows::pg_catalog.text AS rows, sha256
      FROM (${framesOf(runId)}) AS frame WHERE segment = ${integer(segment)} ORDER BY frame.start`);
  return rows.map((row) => ({
    ...row,
    start: Number(row.start),
    length: Number(row.length),
    rows: Number(row.rows),
  }));
}

/** The numbers of the batches in each segment, in order: what parts of one batch belong together. */
export async function listBatches(session: Session, runId: string): Promise<ReadonlyMap<number, number[]>> {
  const rows = await session.query<{ segment: number; batches: number[] }>(sql`
    SELECT segment, pg_catalog.json_agg(number ORDER BY start) AS batches FROM (${framesOf(runId)}) AS frame
     GROUP BY segment ORDER BY segment`);
  return new Map(rows.map(({ segment, batches }) => [segment, batches]));
}

/** Changes of the segment list, under the fence. @throws Fenced */
export async function underFence<T>(
  session: Session,
  runId: string,
  fence: number,
  work: () => Promise<T>,
): Promise<T> {
  return session.transaction(async () => {
    const [results] = await session.script(fenceCheck(runId, CONTROL_LANE));
    if (results?.rows[0]?.['fence'] !== String(fence)) throw new Fenced();
    return work();
  });
}

export async function writeSegment(
  session: Session,
  runId: string,
  fence: number,
  segment: LedgerSegment,
): Promise<void> {
  await session.execute(sql`
    INSERT INTO declutter.segment AS s (run_id, sequence, location, fence, sealed, rows, bytes, sha256)
    VALUES (${runId}::pg_catalog.uuid, ${integer(segment.sequence)}, ${segment.location}, ${integer(fence)},
            ${String(segment.sealed)}::pg_catalog.bool, ${integer(segment.rows)}, ${integer(segment.bytes)}, ${segment.sha256}::pg_catalog.text)
    ON CONFLICT (run_id, sequence) DO UPDATE SET location = excluded.location, fence = excluded.fence,
            sealed = excluded.sealed, rows = excluded.rows, bytes = excluded.bytes, sha256 = excluded.sha256`);
}

export async function removeSegment(session: Session, runId: string, sequence: number): Promise<void> {
  await session.execute(sql`
    DELETE FROM declutter.segment WHERE run_id = ${runId}::pg_catalog.uuid AND sequence = ${integer(sequence)}`);
}

/** What the batches have put into the archive, in all or of one part; rowHash: of those in tables. */
export async function archivedTotals(
  session: Session,
  runId: string,
  part: number | null = null,
): Promise<{ rows: number; rowHash: string }> {
  const wanted = part === null ? sql`true` : sql`frame.part = ${integer(part)}`;
  const { rows, hash } = await session.one<{ rows: string; hash: string }>(sql`
    SELECT coalesce(pg_catalog.sum(frame.rows), 0)::pg_catalog.text AS rows,
           coalesce(pg_catalog.sum(row_hash), 0)::pg_catalog.text AS hash
      FROM (${framesOf(runId)}) AS frame WHERE ${wanted}`);
  return { rows: Number(rows), rowHash: hash };
}
