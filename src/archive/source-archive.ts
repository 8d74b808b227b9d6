import type { ArchiveContent } from '../domain/plan.ts';

/** One frame of an archive that is being restored. */
export interface StoredFrame {
  readonly rows: number;
  /** Reads and checks the frame; null when the rows are in a table. @throws ARCHIVE_DAMAGED */
  readonly read: () => Promise<Buffer>;
}

export interface SourceArchive {
  readonly content: ArchiveContent;
  readonly frames: readonly StoredFrame[];
}
