import { partOf } from '../domain/archive-tables.ts';
import type { ArchiveContent } from '../domain/archive-content.ts';
import { Stop } from '../domain/stop.ts';
import type { ArchiveFormat } from '../domain/words.ts';
import type { ArchiveKeys } from './archive-keys.ts';
import { copyZstd } from './formats/copy-zstd.ts';
import { encrypted } from './formats/encrypted.ts';
import { jsonlZstd } from './formats/jsonl-zstd.ts';
import { parquet } from './formats/parquet.ts';
import { makeFrameCipher } from './frame-cipher.ts';
import type { FormatOf, SegmentFormat } from './segment-format.ts';

type Columns = ArchiveContent['columns'];

const FORMATS: Readonly<Record<ArchiveFormat, (columns: Columns) => SegmentFormat>> = {
  COPY_ZSTD: () => copyZstd,
  JSONL_ZSTD: jsonlZstd,
  PARQUET: parquet,
};

export interface Written {
  readonly runId: string;
  readonly format: ArchiveFormat | null;
  readonly content: Pick<ArchiveContent, 'columns' | 'encryption'>;
}

/** How the segments of an archive are written and read. @throws Stop ARCHIVE_KEY without the key that they are encrypted with */
export function segmentFormat({ runId, format, content }: Written, keys: ArchiveKeys): SegmentFormat {
  const plain = FORMATS[format ?? 'COPY_ZSTD'](content.columns);
  if (!content.encryption) return plain;
  const { keyId } = content.encryption;
  const key = keys.find(({ id }) => id === keyId);
  if (key) return encrypted(plain, makeFrameCipher(key, runId));
  throw new Stop(
    'ARCHIVE_KEY',
    `The archive is encrypted with the key ${keyId}, which is not among DECLUTTER_ARCHIVE_KEYS of this process. ` +
      'Add that key, behind the present ones, and try again.',
  );
}

/** The same for each part of an archive. */
export function segmentFormats(
  written: Written & { readonly content: ArchiveContent },
  keys: ArchiveKeys,
): FormatOf {
  const { content } = written;
  const formats = new Map(
    [0, ...(content.parts ?? []).map(({ number }) => number)].map((part) => [
      part,
      segmentFormat({ ...written, content: { ...content, columns: partOf(content, part).columns } }, keys),
    ]),
  );
  return (part) => {
    const format = formats.get(part);
    if (format) return format;
    throw new TypeError(`The archive has no part ${part}`);
  };
}
