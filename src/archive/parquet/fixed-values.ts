import type { ByteWriter } from '../byte-writer.ts';

/** How a value is stored in so many bytes: from PostgreSQL's text of it, and back to that very text. */
export interface FixedValues {
  readonly bytes: number;
  /** False, and nothing written, for a text that would not come back the same. */
  write(out: ByteWriter, text: string): boolean;
  read(from: Buffer, at: number): string;
}

interface Storage<V> {
  readonly bytes: number;
  put(out: ByteWriter, value: V): void;
  get(from: Buffer, at: number): V;
}

interface Notation<V> {
  /** null: no such value */
  parse(text: string): V | null;
  format(value: V): string;
}

/** Each value is formatted again before it is written: what would come back as another text is refused. */
export const fixedValues = <V>(storage: Storage<V>, { parse, format }: Notation<V>): FixedValues => ({
  bytes: storage.bytes,
  write(out, text) {
    const value = parse(text);
    if (value === null || format(value) !== text) return false;
    storage.put(out, value);
    return true;
  },
  read: (from, at) => format(storage.get(from, at)),
});

const int32: Storage<number> = {
  bytes: 4,
  put: (out, value) => {
    out.int32(value);
  },
  get: (from, at) => from.readInt32LE(at),
};

const int64: Storage<bigint> = {
  bytes: 8,
  put: (out, value) => {
    out.int64(value);
  },
  get: (from, at) => from.readBigInt64LE(at),
};

const float: Storage<number> = {
  bytes: 4,
  put: (out, value) => {
    out.float(value);
  },
  get: (from, at) => from.readFloatLE(at),
};

const double: Storage<number> = {
  bytes: 8,
  put: (out, value) => {
    out.double(value);
  },
  get: (from, at) => from.readDoubleLE(at),
};

const WIDE_BYTES = 16;

/** Two's complement, the highest byte first: as Parquet wants wide decimals. */
const wide: Storage<bigint> = {
  bytes: WIDE_BYTES,
  put: (out, value) => {
    const digits = BigInt.asUintN(8 * WIDE_BYTES, value).toString(16);
    out.all(Buffer.from(digits.padStart(2 * WIDE_BYTES, '0'), 'hex'));
  },
  get: (from, at) => BigInt.asIntN(8 * WIDE_BYTES, BigInt(`0x${from.toString('hex', at, at + WIDE_BYTES)}`)),
};

const hexadecimal: Storage<string> = {
  bytes: WIDE_BYTES,
  put: (out, value) => {
    out.all(Buffer.from(value, 'hex'));
  },
  get: (from, at) => from.toString('hex', at, at + WIDE_BYTES),
};

export const STORAGE = { int32, int64, float, double, wide, hexadecimal };
