import { release } from '../release.ts';
import type { OnData } from '../target/copy-out.ts';
import type { Session } from '../target/session.ts';

const START_BYTES = 1 << 20;
const NEWLINE = 10;

/** A row larger than a batch goes alone; this much of COPY's text is kept in memory at most. PostgreSQL itself writes up to 1 GB. */
const MAX_ROW_BYTES = 256 * 1024 * 1024;

/** The bytes of a batch's rows in one piece of memory, used again by the next batch: what is not allocated need not be collected. */
export class RowBuffer {
  #memory: Buffer = Buffer.allocUnsafe(START_BYTES);
  #length = 0;
  #maxBytes = 0;
  #limit = 0;
  #rowEnded = false;

  /** maxBytes: of several rows */
  clear(maxBytes: number): void {
    if (this.#memory.length > 2 * maxBytes) this.#replace(Buffer.allocUnsafe(START_BYTES));
    this.#length = 0;
    this.#maxBytes = maxBytes;
    this.#limit = Math.max(maxBytes, MAX_ROW_BYTES);
    this.#rowEnded = false;
  }

  readonly add: OnData = (chunk, start, end) => {
    const from = this.#length;
    this.#length += end - start;
    if (this.#rowEnded) this.#limit = this.#maxBytes;
    // COPY writes a newline as such at the end of a row only, and a piece never holds the end of one and the beginning of another.
    this.#rowEnded = chunk[end - 1] === NEWLINE;
    if (this.isOver) return; // counted, no longer kept
    if (this.#length > this.#memory.length) this.#grow(from);
    chunk.copy(this.#memory, from, start, end);
  };

  /** More bytes came than a batch may have; those beyond are lost. */
  get isOver(): boolean {
    return this.#length > this.#limit;
  }

  /** Good until clear. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  #grow(used: number): void {
    const memory = Buffer.allocUnsafe(2 ** Math.ceil(Math.log2(this.#length)));
    this.#memory.copy(memory, 0, 0, used);
    this.#replace(memory);
  }

  #replace(memory: Buffer): void {
    release(this.#memory);
    this.#memory = memory;
  }
}

const BUFFERS = new WeakMap<Session, RowBuffer>();

/** Its own for each session: a session's next batch begins only when the bytes of the last one are durable. */
export function bufferOf(session: Session): RowBuffer {
  const buffer = BUFFERS.get(session) ?? new RowBuffer();
  BUFFERS.set(session, buffer);
  return buffer;
}
