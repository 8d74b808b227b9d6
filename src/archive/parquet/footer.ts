import type { StoredBytes } from '../archive-store.ts';
import { readWithin } from '../read-file.ts';
import { binary, i32, i64, list, type Node, readStruct, type Struct, struct, toBytes } from './thrift.ts';
import type { ParquetColumn } from './parquet-columns.ts';

/** Field numbers and codes are those of parquet.thrift (github.com/apache/parquet-format). */
export const MAGIC = Buffer.from('PAR1');
/** The length of the footer, and the magic number again. */
const TRAILER_BYTES = 8;

const OPTIONAL = 1;
export const PLAIN = 0;
export const RLE = 3;
const ZSTD = 6;

/** The values of a column in a row group: one page. */
export interface Chunk {
  /** from the file's first byte to the page's header */
  readonly offset: number;
  /** header included */
  readonly compressed: number;
  readonly uncompressed: number;
}

export interface RowGroup {
  readonly rows: number;
  readonly chunks: readonly Chunk[];
}

/** What a file of these row groups ends with. */
export function footer(columns: readonly ParquetColumn[], groups: readonly RowGroup[]): Buffer {
  const rows = groups.reduce((sum, group) => sum + group.rows, 0);
  const bytes = toBytes(
    struct(
      [1, i32(2)],
      [2, list([struct([4, binary('rows')], [5, i32(columns.length)]), ...columns.map(schemaElement)])],
      [3, i64(rows)],
      [4, list(groups.map((group) => groupNode(columns, group)))],
      [6, binary('declutter')],
    ),
  );
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.writeUInt32LE(bytes.length);
  MAGIC.copy(trailer, 4);
  return Buffer.concat([bytes, trailer]);
}

const schemaElement = ({ name, physical, length, annotation }: ParquetColumn): Node =>
  struct(
    [1, i32(physical)],
    [2, length === null ? null : i32(length)],
    [3, i32(OPTIONAL)],
    [4, binary(name)],
    ...annotation,
  );

function groupNode(columns: readonly ParquetColumn[], { rows, chunks }: RowGroup): Node {
  const bytes = chunks.reduce((sum, { uncompressed }) => sum + uncompressed, 0);
  return struct(
    [1, list(columns.map((column, i) => chunkNode(column, chunks[i] as Chunk, rows)))],
    [2, i64(bytes)],
    [3, i64(rows)],
  );
}

const chunkNode = (
  { name, physical }: ParquetColumn,
  { offset, compressed, uncompressed }: Chunk,
  rows: number,
): Node =>
  struct(
    [2, i64(offset)],
    [
      3,
      struct(
        [1, i32(physical)],
        [2, list([i32(PLAIN), i32(RLE)])],
        [3, list([binary(name)])],
        [4, i32(ZSTD)],
        [5, i64(rows)],
        [6, i64(uncompressed)],
        [7, i64(compressed)],
        [9, i64(offset)],
      ),
    ],
  );

export interface Footer {
  readonly groups: readonly RowGroup[];
  /** of the whole footer, trailer included */
  readonly bytes: number;
}

/** Of a file that this project wrote. @throws Stop ARCHIVE_DAMAGED, TypeError, RangeError where it is none */
export async function readFooter(file: StoredBytes, size: number): Promise<Footer> {
  const trailer = await readWithin(file, size - TRAILER_BYTES, TRAILER_BYTES, size);
  if (!trailer.subarray(4).equals(MAGIC)) throw new TypeError('Not a Parquet file.');
  const bytes = trailer.readUInt32LE(0) + TRAILER_BYTES;
  const { value } = readStruct(await readWithin(file, size - bytes, bytes, size), 0);
  return { bytes, groups: (value.get(4) as readonly Struct[]).map(groupFrom) };
}

function groupFrom(group: Struct): RowGroup {
  const chunks = (group.get(1) as readonly Struct[]).map((chunk) => {
    const meta = chunk.get(3) as Struct;
    return {
      offset: meta.get(9) as number,
      compressed: meta.get(7) as number,
      uncompressed: meta.get(6) as number,
    };
  });
  return { rows: group.get(3) as number, chunks };
}

/** A file that is in memory. */
export const bytesOf = (file: Buffer): StoredBytes => ({
  read: (into, offset, length, position) =>
    Promise.resolve({ bytesRead: file.copy(into, offset, position, position + length) }),
});
