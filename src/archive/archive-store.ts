/** Stored bytes that can be read in pieces; an open file is one. */
export interface StoredBytes {
  read(
    into: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
}

export interface StoredFile extends StoredBytes {
  readonly size: number;
  close(): Promise<void>;
}

/**
 * Where segments are kept. Locations are all ours, run ids and numbers, so that no caller can name a path. Every method throws
 * Stop with what that means for a run, and StoreBusy where another try may help.
 */
export interface ArchiveStore {
  readonly name: string;
  readonly kind: 'FILES' | 'S3';
  /** Why nothing can be archived there now, in words; null when it can. Never throws. */
  trouble(): Promise<string | null>;
  /** Keeps the bytes under a location that nothing else has; they are durable when it returns. */
  create(location: string, bytes: Buffer, deadline: AbortSignal): Promise<void>;
  open(location: string, deadline?: AbortSignal): Promise<StoredFile>;
  /** Replaces a small file as a whole: there is the old one or the new one, and never half of one. */
  replace(location: string, text: string): Promise<void>;
  /** The locations that begin with this run's id. */
  list(runId: string): Promise<string[]>;
  /** Never over something else. */
  move(from: string, to: string): Promise<void>;
  /** For good, and durably; what is not there is gone already. */
  remove(location: string): Promise<void>;
  /** What is left for us, in bytes; null where nobody can tell. */
  freeBytes(): Promise<number | null>;
}

export const manifestLocation = (runId: string): string => `${runId}/manifest.json`;
