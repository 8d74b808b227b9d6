import { ByteWriter } from '../byte-writer.ts';

/** Thrift's compact protocol, as far as Parquet's footers and page headers need it: whole numbers here are never negative. */

const TYPE = { TRUE: 1, FALSE: 2, I8: 3, I16: 4, I32: 5, I64: 6, BINARY: 8, LIST: 9, STRUCT: 12 } as const;

export type Node =
  | { readonly type: typeof TYPE.TRUE | typeof TYPE.FALSE }
  | {
      readonly type: typeof TYPE.I8 | typeof TYPE.I16 | typeof TYPE.I32 | typeof TYPE.I64;
      readonly value: number;
    }
  | { readonly type: typeof TYPE.BINARY; readonly bytes: Buffer }
  | { readonly type: typeof TYPE.LIST; readonly items: readonly Node[] }
  | { readonly type: typeof TYPE.STRUCT; readonly fields: readonly Field[] };

/** In ascending order of their ids; null: left out. */
export type Field = readonly [id: number, node: Node | null];

export const bool = (value: boolean): Node => ({ type: value ? TYPE.TRUE : TYPE.FALSE });
export const i8 = (value: number): Node => ({ type: TYPE.I8, value });
export const i32 = (value: number): Node => ({ type: TYPE.I32, value });
export const i64 = (value: number): Node => ({ type: TYPE.I64, value });
export const binary = (text: string): Node => ({ type: TYPE.BINARY, bytes: Buffer.from(text) });
/** of at least one item */
export const list = (items: readonly Node[]): Node => ({ type: TYPE.LIST, items });
export const struct = (...fields: readonly Field[]): Node => ({ type: TYPE.STRUCT, fields });

export function toBytes(node: Node): Buffer {
  const out = new ByteWriter();
  write(out, node);
  return out.bytes;
}

function write(out: ByteWriter, node: Node): void {
  if ('value' in node) {
    if (node.type === TYPE.I8) out.byte(node.value);
    else varint(out, node.value * 2);
  } else if ('bytes' in node) {
    varint(out, node.bytes.length);
    out.all(node.bytes);
  } else if ('items' in node) writeList(out, node.items);
  else if ('fields' in node) writeStruct(out, node.fields);
}

function writeList(out: ByteWriter, items: readonly Node[]): void {
  const element = items[0]?.type ?? TYPE.STRUCT;
  if (items.length < 15) out.byte((items.length << 4) | element);
  else {
    out.byte(0xf0 | element);
    varint(out, items.length);
  }
  for (const item of items) write(out, item);
}

function writeStruct(out: ByteWriter, fields: readonly Field[]): void {
  let last = 0;
  for (const [id, node] of fields) {
    if (node === null) continue;
    out.byte(((id - last) << 4) | node.type);
    write(out, node);
    last = id;
  }
  out.byte(0);
}

function varint(out: ByteWriter, value: number): void {
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) out.byte((left % 0x80) | 0x80);
  out.byte(left);
}

export type Value = number | boolean | Buffer | readonly Value[] | Struct;
export type Struct = ReadonlyMap<number, Value>;

/** One struct, and where it ends. @throws TypeError, RangeError where the bytes are none */
export function readStruct(bytes: Buffer, start: number): { readonly value: Struct; readonly end: number } {
  const reader = new Reader(bytes, start);
  const value = reader.struct();
  return { value, end: reader.at };
}

class Reader {
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  struct(): Struct {
    const fields = new Map<number, Value>();
    for (let id = 0, head = this.#byte(); head !== 0; head = this.#byte()) {
      if (head >> 4 === 0) throw new TypeError('Not what this project writes.');
      id += head >> 4;
      fields.set(id, this.#value(head & 15));
    }
    return fields;
  }

  #value(type: number): Value {
    if (type === TYPE.TRUE || type === TYPE.FALSE) return type === TYPE.TRUE;
    if (type === TYPE.I8) return this.#byte();
    if (type === TYPE.I16 || type === TYPE.I32 || type === TYPE.I64) return this.#varint() / 2;
    if (type === TYPE.BINARY) return this.#binary();
    if (type === TYPE.LIST) return this.#list();
    if (type === TYPE.STRUCT) return this.struct();
    throw new TypeError('Not what this project writes.');
  }

  #list(): Value[] {
    const head = this.#byte();
    const length = head >> 4 === 15 ? this.#varint() : head >> 4;
    return Array.from({ length }, () => this.#value(head & 15));
  }

  #binary(): Buffer {
    const length = this.#varint();
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  #varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.#byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  #byte(): number {
    const byte = this.#bytes.readUInt8(this.at);
    this.at += 1;
    return byte;
  }
}
