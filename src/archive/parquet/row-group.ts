import { release } from '../../release.ts';
import { ByteWriter } from '../byte-writer.ts';
import { endOfValue, NEWLINE, TAB } from '../copy-text.ts';
import { countLines } from '../count-lines.ts';
import { compress, decompress } from '../zstd.ts';
import { ColumnBuilder } from './column-builder.ts';
import { ColumnReader } from './column-reader.ts';
import { bytesOf, type Chunk, footer, MAGIC, PLAIN, readFooter, RLE, type RowGroup } from './footer.ts';
import type { ParquetColumn } from './parquet-columns.ts';
import { i32, readStruct, struct, toBytes } from './thrift.ts';

/** COPY text of a batch as a Parquet file of one row group. The last column is the one for whole rows. */
export async function writeBatch(text: Buffer, columns: readonly ParquetColumn[]): Promise<Buffer> {
  const rows = countLines(text);
  const pieces: Buffer[] = [MAGIC];
  const chunks: Chunk[] = [];
  let offset = MAGIC.length;
  for (const builder of builders(text, columns, rows)) {
    const page = builder.page();
    const values = await compress(page);
    const header = pageHeader(page.length, values.length, rows);
    chunks.push({
      offset,
      compressed: header.length + values.length,
      uncompressed: header.length + page.length,
    });
    offset += header.length + values.length;
    pieces.push(header, values);
    release(page);
  }
  return Buffer.concat([...pieces, footer(columns, [{ rows, chunks }])]);
}

function builders(text: Buffer, columns: readonly ParquetColumn[], rows: number): ColumnBuilder[] {
  const all = columns.map((column) => new ColumnBuilder(column, rows));
  const [own, whole] = [all.slice(0, -1), all.at(-1) as ColumnBuilder];
  for (let at = 0; at < text.length;) {
    const start = at;
    let isExact = true;
    for (const builder of own) {
      const end = endOfValue(text, at);
      isExact = builder.add(text, at, end) && isExact;
      at = end + 1;
    }
    if (isExact) whole.addNull();
    else whole.addBytes(text, start, at - 1);
  }
  return all;
}

const DATA_PAGE = 0;

const pageHeader = (uncompressed: number, compressed: number, rows: number): Buffer =>
  toBytes(
    struct(
      [1, i32(DATA_PAGE)],
      [2, i32(uncompressed)],
      [3, i32(compressed)],
      [5, struct([1, i32(rows)], [2, i32(PLAIN)], [3, i32(RLE)], [4, i32(RLE)])],
    ),
  );

/** The COPY text that writeBatch had. @throws TypeError, RangeError, Error of zstd where the file is not of that make */
export async function readBatch(file: Buffer, columns: readonly ParquetColumn[]): Promise<Buffer> {
  const { groups } = await readFooter(bytesOf(file), file.length);
  const [group] = groups;
  if (!group || groups.length !== 1 || group.chunks.length !== columns.length)
    throw new TypeError('Not a batch of this archive.');
  const pages = await Promise.all(group.chunks.map((chunk) => readPage(file, chunk)));
  const readers = columns.map((column, i) => new ColumnReader(column, pages[i] as Buffer, group.rows));
  const text = rowsOf(readers, group, file.length);
  for (const page of pages) release(page);
  return text;
}

function readPage(file: Buffer, { offset, compressed }: Chunk): Promise<Buffer> {
  const { end } = readStruct(file, offset);
  return decompress(file.subarray(end, offset + compressed));
}

function rowsOf(readers: readonly ColumnReader[], { rows }: RowGroup, size: number): Buffer {
  const out = new ByteWriter(size * 2);
  const [own, whole] = [readers.slice(0, -1), readers.at(-1) as ColumnReader];
  for (let row = 0; row < rows; row += 1) {
    const start = out.length;
    own.forEach((reader, i) => {
      if (i > 0) out.byte(TAB);
      reader.copy(out);
    });
    replaceRow(out, start, whole);
    out.byte(NEWLINE);
  }
  return out.bytes;
}

/** A row that is there whole takes the place of what its columns could hold of it. */
function replaceRow(out: ByteWriter, start: number, whole: ColumnReader): void {
  const end = out.length;
  if (!whole.copyBytes(out)) return;
  out.drop(start, end);
}
