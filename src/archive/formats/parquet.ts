import type { ArchiveContent } from '../../domain/archive-content.ts';
import type { StoredBytes } from '../archive-store.ts';
import { bytesOf, footer, MAGIC, readFooter, type RowGroup } from '../parquet/footer.ts';
import { type ParquetColumn, parquetColumns } from '../parquet/parquet-columns.ts';
import { readBatch, writeBatch } from '../parquet/row-group.ts';
import { refuseBadUtf8 } from '../refuse-bad-utf8.ts';
import type { FramePosition, SegmentFormat } from '../segment-format.ts';

/**
 * A frame is a Parquet file of one row group. A segment of several is their bytes, one after the other, and a footer that lists
 * the row groups of all: readers go by the last footer, and those in between are bytes that nothing points to.
 */
export function parquet(columns: ArchiveContent['columns']): SegmentFormat {
  const parquetOnes = parquetColumns(columns);
  return {
    extension: '.parquet',
    encode: (text) => {
      refuseBadUtf8(text);
      return writeBatch(text, parquetOnes);
    },
    decode: (frame) => readBatch(frame, parquetOnes),
    positions,
    ending: (frames) => commonFooter(parquetOnes, frames()),
  };
}

async function commonFooter(
  columns: readonly ParquetColumn[],
  frames: AsyncIterable<Buffer>,
): Promise<Buffer | null> {
  const groups: RowGroup[] = [];
  let start = 0;
  for await (const frame of frames) {
    const { groups: own } = await readFooter(bytesOf(frame), frame.length);
    groups.push(...own.map((group) => shifted(group, start)));
    start += frame.length;
  }
  return groups.length > 1 ? footer(columns, groups) : null;
}

const shifted = ({ rows, chunks }: RowGroup, by: number): RowGroup => ({
  rows,
  chunks: chunks.map((chunk) => ({ ...chunk, offset: chunk.offset + by })),
});

async function positions(file: StoredBytes, size: number): Promise<FramePosition[]> {
  const { groups, bytes } = await readFooter(file, size);
  if (groups.length <= 1) return [{ start: 0, length: size }];
  const starts = groups.map(({ chunks }) => (chunks[0]?.offset ?? NaN) - MAGIC.length);
  return starts.map((start, i) => ({ start, length: (starts[i + 1] ?? size - bytes) - start }));
}
