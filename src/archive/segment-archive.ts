import type { Frame, SegmentSink } from './segment-sink.ts';

/** Segments grow to about this size: few of them, and each small enough to read back at once. */
export const SEGMENT_BYTES = 64 * 1024 * 1024;

export interface Owner {
  readonly runId: string;
  readonly fence: number;
}

/** The archive of one run in a store, held by one worker under one fence. */
export interface SegmentArchive extends SegmentSink {
  /** After the COMMIT of the batch whose frame this is. */
  confirm(frame: Frame, rows: number): Promise<void>;
  /** Grows with each SEGMENT_BYTES that are sealed: time to show people what there is. */
  readonly milestones: number;
  /** Seals, and leaves nothing behind that the ledger does not know. */
  finish(): Promise<void>;
  close(): Promise<void>;
}
