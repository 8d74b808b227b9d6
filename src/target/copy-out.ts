import type { Socket } from 'node:net';
import type { Connection, Submittable } from 'pg';
import { release } from '../release.ts';

/** Message types of the frontend/backend protocol (PostgreSQL manual, "Message Formats"). */
const COPY_DATA = 0x64; // d
const SKIPPED = new Set([
  0x48, // H: CopyOutResponse
  0x63, // c: CopyDone
  0x4e, // N: NoticeResponse
  0x53, // S: ParameterStatus
  0x41, // A: NotificationResponse
]);
const HEADER = 5;

/** Bytes of rows: those of the chunk from start to end, good until the call returns. */
export type OnData = (chunk: Buffer, start: number, end: number) => void;

/**
 * COPY ... TO STDOUT, handed on in pieces as they come from the socket: pieces of rows, or whole ones, never copied and never
 * kept. Each row is a message of its own, so that a batch of thousands spends most of its time here: this reads the headers
 * alone and costs a fifth of a stream (docs/benchmarks.md). All other messages go to pg, as ever.
 */
export class CopyOut implements Submittable {
  /** Settles once the server is ready for the next statement. */
  readonly done: Promise<number>;
  readonly #text: string;
  readonly #onData: OnData;
  readonly #resolve: (rows: number) => void;
  readonly #reject: (error: unknown) => void;
  #socket: Socket | null = null;
  #pgListener: ((chunk: Buffer) => void) | null = null;
  /** bytes of the present message that are still to come */
  #left = 0;
  #isData = false;
  /** a header that was cut by the end of a chunk */
  #cut: Buffer = Buffer.alloc(0);
  #rows = 0;

  constructor(text: string, onData: OnData) {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.done = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#text = text;
    this.#onData = onData;
  }

  submit(connection: Connection): void {
    const socket = connection.stream as Socket;
    this.#socket = socket;
    this.#pgListener = socket.listeners('data')[0] as (chunk: Buffer) => void;
    socket.removeListener('data', this.#pgListener);
    socket.on('data', this.#read);
    connection.query(this.#text);
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#rows = Number(text.split(' ')[1] ?? 0);
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#rows);
  }

  handleError(error: unknown): void {
    this.#giveBack();
    this.#reject(error);
  }

  readonly #read = (chunk: Buffer): void => {
    const bytes = this.#cut.length === 0 ? chunk : Buffer.concat([this.#cut, chunk]);
    this.#cut = Buffer.alloc(0);
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        if (bytes.length - at < HEADER) {
          this.#cut = Buffer.from(bytes.subarray(at));
          break;
        }
        const type = bytes[at] as number;
        this.#isData = type === COPY_DATA;
        if (!this.#isData && !SKIPPED.has(type)) {
          this.#giveBack()?.(bytes.subarray(at));
          return;
        }
        this.#left = bytes.readUInt32BE(at + 1) - 4;
        at += HEADER;
      }
      const end = Math.min(bytes.length, at + this.#left);
      if (this.#isData && end > at) this.#onData(bytes, at, end);
      this.#left -= end - at;
      at = end;
    }
    release(bytes);
  };

  /** pg reads on from here. */
  #giveBack(): ((chunk: Buffer) => void) | null {
    const listener = this.#pgListener;
    if (!this.#socket || !listener) return null;
    this.#socket.removeListener('data', this.#read);
    this.#socket.on('data', listener);
    this.#pgListener = null;
    return listener;
  }
}
