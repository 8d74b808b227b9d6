import type { ByteWriter } from '../byte-writer.ts';
import { BACKSLASH, LETTER_OF } from '../copy-text.ts';
import { bitAt, readLevels } from './definition-levels.ts';
import type { ParquetColumn } from './parquet-columns.ts';

const NULL = Buffer.from('\\N');
const HEX_PREFIX = '\\\\x';
const LENGTH_BYTES = 4;
const [T, F] = [0x74, 0x66];

/** The values of one column of a row group, row by row, back into COPY text. */
export class ColumnReader {
  readonly #column: ParquetColumn;
  readonly #present: Uint8Array;
  readonly #values: Buffer;
  #row = 0;
  /** of the next value: a bit in BITS, else a byte */
  #at = 0;

  constructor(column: ParquetColumn, page: Buffer, rows: number) {
    const { present, end } = readLevels(page, rows);
    this.#column = column;
    this.#present = present;
    this.#values = page.subarray(end);
  }

  /** The next row's value. */
  copy(out: ByteWriter): void {
    if (this.#next()) this.#write(out);
    else out.all(NULL);
  }

  /** The next row's bytes as they are; false for NULL. */
  copyBytes(out: ByteWriter): boolean {
    if (!this.#next()) return false;
    out.all(this.#bytes());
    return true;
  }

  #next(): boolean {
    this.#row += 1;
    return this.#present[this.#row - 1] === 1;
  }

  #write(out: ByteWriter): void {
    const { values } = this.#column;
    if (values.kind === 'FIXED') {
      out.latin1(values.values.read(this.#values, this.#at));
      this.#at += values.values.bytes;
    } else if (values.kind === 'BITS') {
      out.byte(bitAt(this.#values, this.#at) === 1 ? T : F);
      this.#at += 1;
    } else if (values.kind === 'BYTES') out.latin1(`${HEX_PREFIX}${this.#bytes().toString('hex')}`);
    else writeEscaped(out, this.#bytes());
  }

  #bytes(): Buffer {
    const start = this.#at + LENGTH_BYTES;
    this.#at = start + this.#values.readInt32LE(this.#at);
    return this.#values.subarray(start, this.#at);
  }
}

function writeEscaped(out: ByteWriter, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    const letter = LETTER_OF[byte] as number;
    if (letter !== 0) out.byte(BACKSLASH);
    out.byte(letter === 0 ? byte : letter);
  }
}
