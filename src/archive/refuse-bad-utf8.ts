import { isUtf8 } from 'node:buffer';
import { Stop } from '../domain/stop.ts';

/** Databases in SQL_ASCII, and the type "char" before PostgreSQL 16, may hold bytes that are no text. @throws Stop ARCHIVE_FORMAT */
export function refuseBadUtf8(text: Buffer): void {
  if (isUtf8(text)) return;
  throw new Stop(
    'ARCHIVE_FORMAT',
    "Values of this batch are not valid UTF-8, which the archive's format cannot keep. Nothing of the batch is gone; " +
      'cancel the run, and plan with the format COPY_ZSTD.',
  );
}
