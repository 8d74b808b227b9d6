import type { OnData } from '../target/copy-out.ts';

const START_BYTES = 1 << 20;

/** The bytes of a batch's rows in one piece of memory, used again by the next batch: what is not allocated need not be collected. */
export class RowBuffer {
  #memory = Buffer.allocUnsafe(START_BYTES);
  #length = 0;
  #maxBytes = 0;

  clear(maxBytes: number): void {
    this.#length = 0;
    this.#maxBytes = maxBytes;
  }

  readonly add: OnData = (chunk, start, end) => {
    const from = this.#length;
    this.#length += end - start;
    if (this.isOver) return; // counted, no longer kept
    if (this.#length > this.#memory.length) this.#grow(from);
    chunk.copy(this.#memory, from, start, end);
  };

  /** More bytes came than a batch may have; those beyond are lost. */
  get isOver(): boolean {
    return this.#length > this.#maxBytes;
  }

  /** Good until clear. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  #grow(used: number): void {
    const memory = Buffer.allocUnsafe(2 ** Math.ceil(Math.log2(this.#length)));
    this.#memory.copy(memory, 0, 0, used);
    this.#memory = memory;
  }
}
