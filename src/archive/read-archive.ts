import type { ArchiveContent } from '../domain/plan.ts';
import type { SourceArchive, StoredFrame } from './source-archive.ts';
import { Stop } from '../domain/stop.ts';
import { release } from '../release.ts';
import type { ArchiveSegmentView } from '../store/archives.ts';
import { type FileStore, openFile } from './file-store.ts';
import { hashOfFile, readExactly } from './read-file.ts';
import { decompress } from './zstd.ts';
import { type FramePosition, framePositions } from './zstd-frames.ts';

/**
 * An archive's frames, by the list of its segments in the control store and the files alone: it can be read when the ledger is
 * gone or was set back by a backup. Every segment is checked whole before the first row goes back.
 */
export async function readFileArchive(
  store: FileStore,
  segments: readonly ArchiveSegmentView[],
  content: ArchiveContent,
): Promise<SourceArchive> {
  const frames: StoredFrame[] = [];
  for (const segment of segments) frames.push(...(await framesIn(store, segment)));
  return { content, frames };
}

async function framesIn(store: FileStore, segment: ArchiveSegmentView): Promise<StoredFrame[]> {
  const handle = await openFile(store, segment.location);
  try {
    const { size } = await handle.stat();
    if (size !== segment.bytes || (await hashOfFile(handle, size)) !== segment.sha256) throw damaged(segment);
    const positions = await framePositions(handle, size);
    const rows = segment.rows / Math.max(1, positions.length);
    return positions.map((position) => ({ rows, read: () => readRows(store, segment, position) }));
  } finally {
    await handle.close();
  }
}

async function readRows(
  store: FileStore,
  segment: ArchiveSegmentView,
  { start, length }: FramePosition,
): Promise<Buffer> {
  const handle = await openFile(store, segment.location);
  try {
    const frame = await readExactly(handle, start, length);
    const rows = await decompress(frame);
    release(frame);
    return rows;
  } finally {
    await handle.close();
  }
}

const damaged = ({ location }: ArchiveSegmentView) =>
  new Stop(
    'ARCHIVE_DAMAGED',
    `The segment ${location} is not as it was written. Nothing was restored; run verifyArchive to see all damage.`,
    'FAILED',
  );
