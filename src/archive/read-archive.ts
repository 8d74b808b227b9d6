import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import type { ArchiveContent } from '../domain/plan.ts';
import { type SourceArchive, Stop, type StoredFrame } from '../operations/define-operation.ts';
import { type LedgerSegment, listFrames, listSegments } from '../target/ledger.ts';
import type { Session } from '../target/session.ts';
import { type FileStore, openFile } from './file-store.ts';
import { hashOfFile, readFrame } from './segment-file.ts';

const decompress = promisify(zstdDecompress);

/** An archive's frames as the ledger lists them; every segment is checked whole before the first row goes back. */
export async function readFileArchive(
  store: FileStore,
  session: Session,
  runId: string,
  content: ArchiveContent,
): Promise<SourceArchive> {
  const frames: StoredFrame[] = [];
  for (const segment of await listSegments(session, runId)) {
    await checkSegment(store, segment);
    for (const frame of await listFrames(session, runId, segment.sequence)) {
      frames.push({ rows: frame.rows, read: () => readRows(store, segment, frame) });
    }
  }
  return { content, frames };
}

async function checkSegment(store: FileStore, segment: LedgerSegment): Promise<void> {
  if (!segment.sealed) {
    throw new Stop(
      'ARCHIVE_DAMAGED',
      'The archive has a segment that was never sealed; resume its run first.',
      'FAILED',
    );
  }
  const handle = await openFile(store, segment.location);
  try {
    const { size } = await handle.stat();
    if (size === segment.bytes && (await hashOfFile(handle, size)) === segment.sha256) return;
  } finally {
    await handle.close();
  }
  throw new Stop(
    'ARCHIVE_DAMAGED',
    `The segment ${segment.location} is not as it was written. Nothing was restored; run verifyArchive to see all damage.`,
    'FAILED',
  );
}

async function readRows(
  store: FileStore,
  segment: LedgerSegment,
  frame: Parameters<typeof readFrame>[1],
): Promise<Buffer> {
  const handle = await openFile(store, segment.location);
  try {
    return await decompress(await readFrame(handle, frame));
  } finally {
    await handle.close();
  }
}
