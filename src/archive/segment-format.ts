import type { StoredBytes } from './archive-store.ts';

export interface FramePosition {
  readonly start: number;
  readonly length: number;
}

/** How the rows of one table are written in segments: a frame for each batch, made of COPY text and read back as the very same. */
export interface SegmentFormat {
  /** what the names of its segments end with, from the first dot on */
  readonly extension: string;
  /** @throws Stop ARCHIVE_FORMAT when these rows cannot be written this way */
  encode(text: Buffer): Promise<Buffer>;
  /** @throws whatever comes of bytes that encode did not make */
  decode(frame: Buffer): Promise<Buffer>;
  /** Where the frames of a sealed segment are; by the segment alone. @throws Stop ARCHIVE_DAMAGED */
  positions(file: StoredBytes, size: number): Promise<FramePosition[]>;
  /** What a segment of these frames has behind them once it is sealed; null: nothing. */
  ending(frames: () => AsyncIterable<Buffer>): Promise<Buffer | null>;
}

/** By the number of a part of the archive: each table has columns of its own. */
export type FormatOf = (part: number) => SegmentFormat;
