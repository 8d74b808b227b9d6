import type { Session } from '../target/session.ts';

/** A batch's rows in an archive: part of a segment file, or rows of the archive table. */
export interface Frame {
  readonly segment: number;
  readonly start: number;
  readonly length: number;
  /** of the stored bytes; null in an archive table */
  readonly sha256: string | null;
  /** sum of 64-bit hashes of the rows' text, whatever their order; null in a file */
  readonly rowHash: string | null;
}

/** Where a batch's rows are made durable, before its COMMIT. */
export interface SegmentSink {
  /** Compresses the rows (COPY text) of a part of the archive (0, the table itself), makes them durable and reads them back; they count only once the session's open transaction is committed. */
  append(session: Session, text: Buffer, rows: number, part?: number): Promise<Frame>;
}
