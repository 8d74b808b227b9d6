import { partOf } from '../domain/archive-tables.ts';
import type { PlanNotice } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { release } from '../release.ts';
import { rowHash } from './row-hash.ts';
import type { ArchiveSegmentView, ArchiveView } from '../store/archives.ts';
import { tableChecksum } from '../store/archives.ts';
import type { Session } from '../target/session.ts';
import { ident, sql } from '../target/sql.ts';
import type { ArchiveStore, StoredFile } from './archive-store.ts';
import { countLines } from './count-lines.ts';
import { hashOfFile, readExactly } from './read-file.ts';
import type { FormatOf, SegmentFormat } from './segment-format.ts';

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

/** Reads every segment back whole: checksum, size, number of rows, readability. Without a format, what can be told of the bytes alone. */
export async function verifyFiles(
  store: ArchiveStore,
  formatOf: FormatOf | null,
  segments: readonly ArchiveSegmentView[],
): Promise<ArchiveVerification> {
  const found: Found[] = [];
  for (const segment of segments)
    found.push(await verifyFile(store, formatOf && formatOf(segment.part), segment));
  return summary(found);
}

async function verifyFile(
  store: ArchiveStore,
  format: SegmentFormat | null,
  segment: ArchiveSegmentView,
): Promise<Found> {
  try {
    const file = await store.open(segment.location);
    try {
      return (
        (await compareBytes(segment, file)) ??
        (format ? await compareRows(segment, file, format) : { rows: 0, problem: null })
      );
    } finally {
      await file.close();
    }
  } catch (error) {
    return damaged(segment, `can't be read (${reasonOf(error)})`);
  }
}

async function compareBytes(segment: ArchiveSegmentView, file: StoredFile): Promise<Found | null> {
  const { size } = file;
  if (size !== segment.bytes) return damaged(segment, `has ${size} bytes instead of ${segment.bytes}`);
  const isSame = (await hashOfFile(file, size)) === segment.sha256;
  return isSame ? null : damaged(segment, 'has another checksum than when it was written');
}

async function compareRows(
  segment: ArchiveSegmentView,
  file: StoredFile,
  format: SegmentFormat,
): Promise<Found> {
  let rows = 0;
  for (const { start, length } of await format.positions(file, file.size)) {
    const frame = await readExactly(file, start, length);
    const text = await format.decode(frame);
    rows += countLines(text);
    release(text);
    release(frame);
  }
  if (rows !== segment.rows) return damaged(segment, `holds ${rows} rows instead of ${segment.rows}`);
  return { rows, problem: null };
}

const reasonOf = (error: unknown): string =>
  error instanceof Stop ? error.message : ((error as NodeJS.ErrnoException).code ?? 'unknown');

/** Rows of each table of an archive: their number and the sum of their hashes, in one read. */
export async function verifyTable(
  session: Session,
  archive: ArchiveView,
  segments: readonly ArchiveSegmentView[],
): Promise<ArchiveVerification> {
  const found: Found[] = [];
  for (const segment of segments) {
    const { holder } = partOf(archive.content, segment.part);
    if (holder) found.push(await verifyHolder(session, holder, segment));
  }
  return summary(found);
}

async function verifyHolder(
  session: Session,
  holder: { readonly schema: string; readonly name: string },
  segment: ArchiveSegmentView,
): Promise<Found> {
  const { rows, hash } = await session.transaction(async () => {
    await session.longRead();
    return session.one<{ rows: string; hash: string }>(sql`
      SELECT pg_catalog.count(*)::pg_catalog.text AS rows,
             coalesce(pg_catalog.sum(${rowHash(sql`kept`)}), 0)::pg_catalog.text AS hash
        FROM ONLY ${ident(holder.schema, holder.name)} AS kept`);
  });
  if (Number(rows) !== segment.rows) return damaged(segment, `holds ${rows} rows instead of ${segment.rows}`);
  if (tableChecksum(Number(rows), hash) !== segment.sha256)
    return damaged(segment, 'holds other rows than were archived');
  return { rows: Number(rows), problem: null };
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
