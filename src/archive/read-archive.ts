import type { ArchiveContent } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { release } from '../release.ts';
import type { ArchiveSegmentView } from '../store/archives.ts';
import type { ArchiveStore } from './archive-store.ts';
import { hashOfFile, readExactly } from './read-file.ts';
import type { SourceArchive, StoredFrame } from './source-archive.ts';
import { decompress } from './zstd.ts';
import { type FramePosition, framePositions } from './zstd-frames.ts';

/**
 * An archive's frames, by the list of its segments in the control store and the store alone: it can be read when the ledger is
 * gone or was set back by a backup. Every segment is checked whole before the first row goes back, which takes as long as
 * reading all of it: goOn is called on the way, and may throw.
 */
export async function readStoredArchive(
  store: ArchiveStore,
  segments: readonly ArchiveSegmentView[],
  content: ArchiveContent,
  goOn: () => void,
): Promise<SourceArchive> {
  const frames: StoredFrame[] = [];
  for (const segment of segments) frames.push(...(await framesIn(store, segment, goOn)));
  return { content, frames };
}

async function framesIn(
  store: ArchiveStore,
  segment: ArchiveSegmentView,
  goOn: () => void,
): Promise<StoredFrame[]> {
  goOn();
  const file = await store.open(segment.location);
  try {
    const { size } = file;
    if (size !== segment.bytes || (await hashOfFile(file, size, goOn)) !== segment.sha256)
      throw damaged(segment);
    const positions = await framePositions(file, size);
    const rows = segment.rows / Math.max(1, positions.length);
    return positions.map((position) => ({ rows, read: () => readRows(store, segment, position) }));
  } finally {
    await file.close();
  }
}

async function readRows(
  store: ArchiveStore,
  segment: ArchiveSegmentView,
  { start, length }: FramePosition,
): Promise<Buffer> {
  const file = await store.open(segment.location);
  try {
    const frame = await readExactly(file, start, length);
    const rows = await decompress(frame);
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
