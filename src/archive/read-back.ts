import { Stop } from '../domain/stop.ts';
import { release } from '../release.ts';
import { countLines } from './count-lines.ts';
import type { SegmentFormat } from './segment-format.ts';

export interface Batch {
  /** COPY text */
  readonly text: Buffer;
  readonly rows: number;
}

/**
 * Before a batch commits: what is stored must be what was written, and must give back the rows as PostgreSQL wrote them, to the
 * last byte. So each format proves itself on all rows that it takes. @throws Stop ARCHIVE_STORE, ARCHIVE_FORMAT
 */
export async function checkStored(
  stored: Buffer,
  written: Buffer,
  format: SegmentFormat,
  { text, rows }: Batch,
): Promise<void> {
  if (!stored.equals(written)) {
    throw new Stop('ARCHIVE_STORE', 'The archive store gave back other bytes than were written. Check it.');
  }
  const decoded = await format.decode(stored);
  const isSame = decoded.equals(text) && countLines(decoded) === rows;
  release(decoded);
  if (!isSame) throw notExact();
}

const notExact = () =>
  new Stop(
    'ARCHIVE_FORMAT',
    "Rows of this batch would not come back from the archive's format as they were. Nothing of the batch is gone; " +
      'cancel the run, and plan with the format COPY_ZSTD.',
  );
