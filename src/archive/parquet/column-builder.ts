import { ByteWriter } from '../byte-writer.ts';
import { BACKSLASH, isNull, MEANT_BY } from '../copy-text.ts';
import { levelBytes, packBits } from './definition-levels.ts';
import type { ParquetColumn } from './parquet-columns.ts';

const LENGTH_BYTES = 4;
const T = 0x74;
/** \\x, as COPY writes the \x of a bytea */
const HEX_PREFIX_BYTES = 3;

/** The values of one column of a batch, taken from COPY text. */
export class ColumnBuilder {
  readonly #column: ParquetColumn;
  readonly #present: Uint8Array;
  readonly #values = new ByteWriter();
  #row = 0;

  constructor(column: ParquetColumn, rows: number) {
    this.#column = column;
    this.#present = new Uint8Array(rows);
  }

  /** False for a value that the column cannot hold so that it comes back the same: it is left out. */
  add(text: Buffer, start: number, end: number): boolean {
    const row = this.#row;
    this.#row += 1;
    if (isNull(text, start)) return true;
    const isKept = this.#write(text, start, end);
    this.#present[row] = isKept ? 1 : 0;
    return isKept;
  }

  addNull(): void {
    this.#row += 1;
  }

  /** Any bytes, as they are. */
  addBytes(text: Buffer, start: number, end: number): void {
    this.#present[this.#row] = 1;
    this.#row += 1;
    this.#values.int32(end - start);
    this.#values.slice(text, start, end);
  }

  page(): Buffer {
    const isBits = this.#column.values.kind === 'BITS';
    return Buffer.concat([
      levelBytes(this.#present),
      isBits ? packBits(this.#values.bytes) : this.#values.bytes,
    ]);
  }

  #write(text: Buffer, start: number, end: number): boolean {
    const { values } = this.#column;
    if (values.kind === 'TEXT') return this.#writeText(text, start, end);
    if (values.kind === 'BYTES') return this.#writeBytes(text, start, end);
    if (values.kind === 'FIXED')
      return values.values.write(this.#values, text.toString('latin1', start, end));
    this.#values.byte(text[start] === T ? 1 : 0);
    return true;
  }

  #writeText(text: Buffer, start: number, end: number): true {
    const out = this.#values;
    const before = out.length;
    out.int32(0);
    for (let at = start; at < end; at += 1) {
      const byte = text[at] as number;
      if (byte !== BACKSLASH) out.byte(byte);
      else {
        at += 1;
        out.byte(MEANT_BY[text[at] as number] as number);
      }
    }
    out.bytes.writeInt32LE(out.length - before - LENGTH_BYTES, before);
    return true;
  }

  #writeBytes(text: Buffer, start: number, end: number): boolean {
    const bytes = Buffer.from(text.toString('latin1', start + HEX_PREFIX_BYTES, end), 'hex');
    if (bytes.length * 2 !== end - start - HEX_PREFIX_BYTES) return false;
    this.#values.int32(bytes.length);
    this.#values.all(bytes);
    return true;
  }
}
