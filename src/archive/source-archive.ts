import type { ArchiveContent } from '../domain/archive-content.ts';
import type { Sql } from '../target/sql.ts';

/** The rows of one part in one batch of an archive that is being restored. */
export interface StoredPiece {
  readonly part: number;
  /** Reads and checks the frame, as COPY text, @throws ARCHIVE_DAMAGED; or the places of the rows in the part's table. */
  readonly from: (() => Promise<Buffer>) | Sql;
}

export interface StoredBatch {
  readonly rows: number;
  readonly pieces: readonly StoredPiece[];
}

export interface SourceArchive {
  readonly content: ArchiveContent;
  /** In the order in which they were archived; empty for a table whose rows never reference each other: it is read by place. */
  readonly batches: readonly StoredBatch[];
}
