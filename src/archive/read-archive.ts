import type { ArchiveContent } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import { release } from '../release.ts';
import type { ArchiveSegmentView } from '../store/archives.ts';
import type { ArchiveStore } from './archive-store.ts';
import { hashOfFile, readExactly } from './read-file.ts';
import type { FormatOf, FramePosition, SegmentFormat } from './segment-format.ts';
import type { SourceArchive, StoredBatch, StoredPiece } from './source-archive.ts';

/**
 * An archive's batches, by the list of its segments in the control store and the store alone: it can be read when the ledger is
 * gone or was set back by a backup. Every segment is checked whole before the first row goes back, which takes as long as
 * reading all of it: goOn is called on the way, and may throw.
 */
export async function readStoredArchive(
  readable: Readable,
  segments: readonly ArchiveSegmentView[],
  content: ArchiveContent,
  goOn: () => void,
): Promise<SourceArchive> {
  const frames: StoredFrame[] = [];
  for (const segment of segments) frames.push(...(await framesIn(readable, segment, goOn)));
  return { content, batches: batchesOf(frames) };
}

export interface Readable {
  readonly store: ArchiveStore;
  readonly formatOf: FormatOf;
}

interface StoredFrame {
  /** the number of its batch; null: it is all of one */
  readonly batch: number | null;
  readonly rows: number;
  readonly piece: StoredPiece;
}

async function framesIn(
  { store, formatOf }: Readable,
  segment: ArchiveSegmentView,
  goOn: () => void,
): Promise<StoredFrame[]> {
  goOn();
  const { part, batches } = segment;
  const format = formatOf(part);
  const file = await store.open(segment.location);
  try {
    const { size } = file;
    if (size !== segment.bytes || (await hashOfFile(file, size, goOn)) !== segment.sha256)
      throw damaged(segment);
    const positions = await format.positions(file, size);
    if (batches !== null && batches.length !== positions.length) throw damaged(segment);
    const rows = segment.rows / Math.max(1, positions.length);
    return positions.map((position, i) => ({
      batch: batches?.[i] ?? null,
      rows,
      piece: { part, from: () => readRows(store, format, segment, position) },
    }));
  } finally {
    await file.close();
  }
}

/** Those of one batch together; without numbers each frame is a batch, in the order of the segments. */
function batchesOf(frames: readonly StoredFrame[]): StoredBatch[] {
  const groups = Map.groupBy(frames, ({ batch }, i) => batch ?? i);
  return [...groups]
    .toSorted(([a], [b]) => a - b)
    .map(([, own]) => ({
      rows: own.reduce((sum, { rows }) => sum + rows, 0),
      pieces: own.map(({ piece }) => piece),
    }));
}

async function readRows(
  store: ArchiveStore,
  format: SegmentFormat,
  segment: ArchiveSegmentView,
  { start, length }: FramePosition,
): Promise<Buffer> {
  const file = await store.open(segment.location);
  try {
    const frame = await readExactly(file, start, length);
    const rows = await format.decode(frame);
    release(frame);
    return rows;
  } finally {
    await file.close();
  }
}

const damaged = ({ location }: ArchiveSegmentView) =>
  new Stop(
    'ARCHIVE_DAMAGED',
    `The segment ${location} is not as it was written. Nothing was restored; run verifyArchive to see all damage.`,
    'FAILED',
  );
