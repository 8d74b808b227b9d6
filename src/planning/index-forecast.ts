import type { PlanImpact } from '../domain/plan.ts';

/** Bytes a second; measured on two cores. */
const READ_PER_SECOND = 100_000_000;
const BUILT_PER_SECOND = 60_000_000;
/** Until a worker has taken the run, and to end it. */
const AROUND_SECONDS = 2;
/** Of a B-tree: the head of an entry and its pointer, what entries are aligned to, and how full pages are made. */
const ENTRY_BYTES = 12;
const ALIGNMENT = 8;
const FILL = 0.9;

const NO_ROWS = { rows: 0, rowsAreExact: true, share: 0 } as const;

export const btreeBytes = (rows: number, keyBytes: number): number =>
  Math.ceil((rows * (ENTRY_BYTES + Math.ceil(keyBytes / ALIGNMENT) * ALIGNMENT)) / FILL);

/** CONCURRENTLY reads the table twice. */
export const indexCreationForecast = (heapBytes: number, indexBytes: number): PlanImpact => ({
  ...NO_ROWS,
  bytes: indexBytes,
  estimatedSeconds:
    Math.ceil((2 * heapBytes) / READ_PER_SECOND + indexBytes / BUILT_PER_SECOND) + AROUND_SECONDS,
  walBytes: indexBytes,
  diskNeededBytes: indexBytes,
  bytesReclaimed: 0,
  bytesReusable: 0,
});

export const indexRemovalForecast = (bytes: number): PlanImpact => ({
  ...NO_ROWS,
  bytes,
  estimatedSeconds: AROUND_SECONDS,
  walBytes: 0,
  diskNeededBytes: 0,
  bytesReclaimed: bytes,
  bytesReusable: 0,
});
