import { ByteWriter } from '../byte-writer.ts';

const LENGTH_BYTES = 4;

/**
 * Which rows have a value (1) and which are NULL (0), as Parquet's hybrid of runs and packed bits, with its length before it: one run
 * where all are alike, else all the bits.
 */
export function levelBytes(present: Uint8Array): Buffer {
  const out = new ByteWriter(LENGTH_BYTES + (present.length >> 3) + 16);
  out.int32(0);
  const first = present[0] ?? 0;
  if (present.every((level) => level === first)) {
    varint(out, present.length << 1);
    out.byte(first);
  } else {
    varint(out, (((present.length + 7) >> 3) << 1) | 1);
    out.all(packBits(present));
  }
  out.bytes.writeInt32LE(out.length - LENGTH_BYTES);
  return out.bytes;
}

/** The lowest bit first. */
export function packBits(bits: Uint8Array): Buffer {
  const bytes = Buffer.alloc((bits.length + 7) >> 3);
  bits.forEach((bit, i) => {
    if (bit !== 0) bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7));
  });
  return bytes;
}

export const bitAt = (bytes: Buffer, at: number): number => ((bytes[at >> 3] as number) >> (at & 7)) & 1;

/** Levels as levelBytes makes them, and where the values begin. */
export function readLevels(
  page: Buffer,
  rows: number,
): { readonly present: Uint8Array; readonly end: number } {
  const end = LENGTH_BYTES + page.readInt32LE(0);
  let head = 0;
  let at = LENGTH_BYTES;
  for (let shift = 0; ; shift += 7) {
    const byte = page.readUInt8(at);
    at += 1;
    head |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const present = new Uint8Array(rows);
  if ((head & 1) === 0) present.fill(page.readUInt8(at));
  else {
    const bits = page.subarray(at, end);
    for (let row = 0; row < rows; row += 1) present[row] = bitAt(bits, row);
  }
  return { present, end };
}

function varint(out: ByteWriter, value: number): void {
  let left = value;
  for (; left >= 0x80; left >>>= 7) out.byte((left & 0x7f) | 0x80);
  out.byte(left);
}
