const START_BYTES = 1 << 16;

/** Copied faster by hand than by a call into the runtime. */
const FEW_BYTES = 24;

/** Bytes that grow at the end, in one piece of memory. */
export class ByteWriter {
  #memory: Buffer;
  #length = 0;

  constructor(bytes = START_BYTES) {
    this.#memory = Buffer.allocUnsafeSlow(Math.max(bytes, 16));
  }

  get length(): number {
    return this.#length;
  }

  /** Good until more is written. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  byte(value: number): void {
    if (this.#length === this.#memory.length) this.#grow(1);
    this.#memory[this.#length++] = value;
  }

  /** The bytes of a piece from start to end. */
  slice(from: Buffer, start: number, end: number): void {
    const to = this.skip(end - start);
    if (end - start > FEW_BYTES) from.copy(this.#memory, to, start, end);
    else for (let at = start; at < end; at += 1) this.#memory[to + at - start] = from[at] as number;
  }

  all(bytes: Buffer): void {
    this.slice(bytes, 0, bytes.length);
  }

  latin1(text: string): void {
    const at = this.skip(text.length);
    this.#memory.write(text, at, 'latin1');
  }

  int32(value: number): void {
    const at = this.skip(4);
    this.#memory.writeInt32LE(value, at);
  }

  int64(value: bigint): void {
    const at = this.skip(8);
    this.#memory.writeBigInt64LE(value, at);
  }

  float(value: number): void {
    const at = this.skip(4);
    this.#memory.writeFloatLE(value, at);
  }

  double(value: number): void {
    const at = this.skip(8);
    this.#memory.writeDoubleLE(value, at);
  }

  /** Room for so many bytes, whose place it returns; what they hold is not defined. */
  skip(count: number): number {
    if (this.#length + count > this.#memory.length) this.#grow(count);
    const at = this.#length;
    this.#length += count;
    return at;
  }

  /** Takes the bytes from start to end out; those behind move up. */
  drop(start: number, end: number): void {
    this.#memory.copyWithin(start, end, this.#length);
    this.#length -= end - start;
  }

  #grow(count: number): void {
    const memory = Buffer.allocUnsafeSlow(Math.max(this.#length + count, this.#memory.length * 2));
    this.#memory.copy(memory, 0, 0, this.#length);
    this.#memory = memory;
  }
}
