import type { PlanNotice } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { rowHash } from './row-hash.ts';
import type { ArchiveSegmentView, ArchiveView } from '../store/archives.ts';
import { tableChecksum } from '../store/archives.ts';
import type { Session } from '../target/session.ts';
import { ident, sql } from '../target/sql.ts';
import type { ArchiveStore, StoredFile } from './archive-store.ts';
import { hashOfFile } from './read-file.ts';
import { rowsIn } from './zstd.ts';
import { framesOf } from './zstd-frames.ts';

export interface ArchiveVerification {
  readonly ok: boolean;
  readonly segmentsChecked: number;
  readonly rowsChecked: number;
  readonly problems: readonly PlanNotice[];
}

interface Found {
  readonly rows: number;
  readonly problem: PlanNotice | null;
}

const DAMAGED = 'SEGMENT_DAMAGED';
const HINT = 'Restore the segment from a backup of the archive store; its rows are nowhere else.';

/** Reads every segment back whole: checksum, size, number of rows, readability. */
export async function verifyFiles(
  store: ArchiveStore,
  segments: readonly ArchiveSegmentView[],
): Promise<ArchiveVerification> {
  const found: Found[] = [];
  for (const segment of segments) found.push(await verifyFile(store, segment));
  return summary(found);
}

async function verifyFile(store: ArchiveStore, segment: ArchiveSegmentView): Promise<Found> {
  try {
    const file = await store.open(segment.location);
    try {
      return compare(segment, await readWhole(file));
    } finally {
      await file.close();
    }
  } catch (error) {
    return damaged(segment, `can't be read (${reasonOf(error)})`);
  }
}

interface Content {
  readonly bytes: number;
  readonly sha256: string;
  readonly rows: number;
}

async function readWhole(file: StoredFile): Promise<Content> {
  const { size: bytes } = file;
  const sha256 = await hashOfFile(file, bytes);
  let rows = 0;
  for await (const frame of framesOf(file, bytes)) rows += await rowsIn(frame);
  return { bytes, sha256, rows };
}

function compare(segment: ArchiveSegmentView, { bytes, sha256, rows }: Content): Found {
  if (bytes !== segment.bytes) return damaged(segment, `has ${bytes} bytes instead of ${segment.bytes}`);
  if (sha256 !== segment.sha256) return damaged(segment, 'has another checksum than when it was written');
  if (rows !== segment.rows) return damaged(segment, `holds ${rows} rows instead of ${segment.rows}`);
  return { rows, problem: null };
}

const reasonOf = (error: unknown): string =>
  error instanceof Stop ? error.message : ((error as NodeJS.ErrnoException).code ?? 'unknown');

/** Rows of an archive table: their number and the sum of their hashes, in one read. */
export async function verifyTable(
  session: Session,
  archive: ArchiveView,
  segments: readonly ArchiveSegmentView[],
): Promise<ArchiveVerification> {
  const { holder } = archive.content;
  const segment = segments[0];
  if (!holder || !segment) return summary([]);
  const { rows, hash } = await session.transaction(async () => {
    await session.longRead();
    return session.one<{ rows: string; hash: string }>(sql`
      SELECT pg_catalog.count(*)::pg_catalog.text AS rows,
             coalesce(pg_catalog.sum(${rowHash(sql`kept`)}), 0)::pg_catalog.text AS hash
        FROM ONLY ${ident(holder.schema, holder.name)} AS kept`);
  });
  if (Number(rows) !== segment.rows)
    return summary([damaged(segment, `holds ${rows} rows instead of ${segment.rows}`)]);
  if (tableChecksum(Number(rows), hash) !== segment.sha256)
    return summary([damaged(segment, 'holds other rows than were archived')]);
  return summary([{ rows: Number(rows), problem: null }]);
}

const damaged = ({ location }: ArchiveSegmentView, what: string): Found => ({
  rows: 0,
  problem: { code: DAMAGED, message: `The segment ${location} ${what}.`, hint: HINT },
});

const summary = (found: readonly Found[]): ArchiveVerification => {
  const problems = found.flatMap(({ problem }) => problem ?? []);
  return {
    ok: problems.length === 0,
    segmentsChecked: found.length,
    rowsChecked: found.reduce((sum, { rows }) => sum + rows, 0),
    problems,
  };
};
