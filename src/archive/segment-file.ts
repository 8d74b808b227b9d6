import type { FileHandle } from 'node:fs/promises';
import type { Frame } from './segment-sink.ts';
import { Stop } from '../domain/stop.ts';
import type { LedgerFrame } from '../target/ledger-segments.ts';
import type { Owner } from './segment-archive.ts';
import { createFile, type FileStore, guarded, renameFile } from './file-store.ts';
import { failpoint } from '../failpoint.ts';
import { release } from '../release.ts';
import { hashOf, hashOfFile, readExactly } from './read-file.ts';
import { checkStored } from './read-back.ts';
import type { FramePosition, SegmentFormat } from './segment-format.ts';

export interface SealedSegment {
  readonly location: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * An open segment: one frame a batch, durable before the batch commits. Only the ledger says how much of the file counts; what
 * lies behind is overwritten by the next batch or trimmed when the segment is sealed.
 */
export class SegmentFile {
  readonly sequence: number;
  readonly location: string;
  readonly #store: FileStore;
  readonly #handle: FileHandle;
  #isSuspect = false;
  readonly #format: SegmentFormat;
  #frames: FramePosition[] = [];

  private constructor(
    store: FileStore,
    format: SegmentFormat,
    sequence: number,
    location: string,
    handle: FileHandle,
  ) {
    this.#store = store;
    this.#format = format;
    this.sequence = sequence;
    this.location = location;
    this.#handle = handle;
  }

  /** A new file; its name carries the fence, so that two workers never write to the same one. */
  static async create(
    store: FileStore,
    format: SegmentFormat,
    { runId, fence }: Owner,
    sequence: number,
  ): Promise<SegmentFile> {
    const name = `${String(sequence).padStart(6, '0')}-f${fence}${format.extension}.open`;
    const location = `${runId}/${name}`;
    return new SegmentFile(store, format, sequence, location, await createFile(store, location));
  }

  /** Copies the committed frames of another worker's file, each checked, into a new one under this fence. */
  async adopt(from: FileHandle, frames: readonly LedgerFrame[]): Promise<void> {
    for (const frame of frames) {
      const bytes = await guarded(() => readFrame(from, frame));
      await guarded(() => this.#writeAll(bytes, frame.start));
      this.#frames.push({ start: frame.start, length: frame.length });
      failpoint('takeover.copying');
    }
    await guarded(() => this.#handle.sync());
  }

  get committed(): number {
    const last = this.#frames.at(-1);
    return last === undefined ? 0 : last.start + last.length;
  }

  /** Writes the rows (COPY text) as a frame, makes it durable and reads it back; counts only once confirmed. */
  async append(text: Buffer, rows: number): Promise<Frame> {
    const bytes = await this.#format.encode(text);
    const start = this.committed;
    const sha256 = hashOf(bytes);
    const stored = await guarded(async () => {
      await this.#writeAll(bytes, start);
      failpoint('segment.written');
      await this.#makeDurable();
      failpoint('segment.synced');
      return this.#readBack(start, bytes.length);
    });
    await checkStored(stored, bytes, this.#format, { text, rows });
    failpoint('segment.read-back');
    const frame = { segment: this.sequence, start, length: bytes.length, sha256, rowHash: null };
    release(bytes);
    release(stored);
    return frame;
  }

  confirm({ start, length }: Frame): void {
    this.#frames.push({ start, length });
  }

  /** Trims to what the ledger says, adds what the format ends with, makes the final name durable and reads the whole back. */
  async #seal(): Promise<SealedSegment> {
    if (this.#isSuspect)
      throw storeFailed('a sync has failed; what counts of the file is copied to a new one');
    const location = this.location.replace(/\.open$/, '');
    const ending = (await this.#format.ending(() => this.#readFrames())) ?? Buffer.alloc(0);
    const bytes = this.committed + ending.length;
    await guarded(async () => {
      await this.#handle.truncate(this.committed);
      await this.#writeAll(ending, this.committed);
      await this.#handle.sync();
    });
    const sha256 = await guarded(() => hashOfFile(this.#handle, bytes));
    await renameFile(this.#store, this.location, location);
    failpoint('segment.renamed');
    return { location, bytes, sha256 };
  }

  /** Gives the segment its final name. Whatever comes of it, the file is closed. */
  async seal(): Promise<SealedSegment> {
    try {
      return await this.#seal();
    } finally {
      await this.close();
    }
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  /** The kernel tells of a failed sync once; asked again, it would say that all is well. */
  async #makeDurable(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (error) {
      this.#isSuspect = true;
      throw error;
    }
    if ((await this.#handle.stat()).nlink === 0)
      throw storeFailed('the file of the open segment was removed');
  }

  async #writeAll(bytes: Buffer, start: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await this.#handle.write(bytes, done, bytes.length - done, start + done)).bytesWritten;
    }
  }

  #readBack(start: number, length: number): Promise<Buffer> {
    return readExactly(this.#handle, start, length);
  }

  async *#readFrames(): AsyncGenerator<Buffer> {
    for (const { start, length } of this.#frames) yield await guarded(() => this.#readBack(start, length));
  }
}

const storeFailed = (reason: string): Stop =>
  new Stop('ARCHIVE_STORE', `The archive store failed (${reason}). Look at it, then resume the run.`);

/** One frame, checked against the ledger. @throws Stop ARCHIVE_DAMAGED */
export async function readFrame(handle: FileHandle, frame: LedgerFrame): Promise<Buffer> {
  const bytes = await readExactly(handle, frame.start, frame.length);
  if (hashOf(bytes) !== frame.sha256) {
    throw new Stop(
      'ARCHIVE_DAMAGED',
      'A segment of the archive has other bytes than the ledger says.',
      'FAILED',
    );
  }
  return bytes;
}
