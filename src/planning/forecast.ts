import type { ArchiveDestination, PlanImpact } from '../domain/plan.ts';
import type { Throttle } from '../domain/run.ts';
import type { Relation } from '../target/catalog.ts';
import type { MeasuredRows } from './measure-rows.ts';
import type { Look } from './plan-deletion.ts';

/** Rows a second of work without rest, ledger and fences included, and bytes a second; measured on two cores. */
const RATES = {
  PURGE: 250_000,
  FILES: 75_000,
  S3: 40_000,
  TABLE: 60_000,
  LISTED: 150_000,
  RESTORE: 60_000,
  HASHED: 1_500_000,
  MERGED: 15_000,
};
const BYTES_PER_SECOND = 100_000_000;
/** Until a worker has taken the run and opened the table, and to end it; no rest in these. */
const AROUND_SECONDS = 2;
const INDEX_BYTES_PER_SECOND = 60_000_000;
const WAL_BYTES_PER_ROW = 59;
const BLOCK_BYTES = 8_192;
/** What zstd leaves of COPY's text. */
const COMPRESSED = 0.25;

/** lookUpSeconds: of PostgreSQL's own look-ups of referencing rows, where no index serves them. */
export function deletionForecast(
  { relation, measured, destination, chosen, throttle }: Look,
  lookUpSeconds: number,
): PlanImpact {
  const { rows, rowsAreExact, share, bytes } = measured;
  const rate = Math.min(
    RATES[destination?.kind ?? 'PURGE'],
    chosen.pick === 'INDEX' ? RATES.LISTED : Infinity,
  );
  const readBytes = chosen.pick === 'INDEX' ? bytes : relation.heapBytes;
  const seconds =
    rows / rate + (readBytes + (destination === null ? 0 : bytes)) / BYTES_PER_SECOND + lookUpSeconds;
  // The first change of a block after a checkpoint writes the whole block.
  const blocks = Math.min(relation.pages, rows);
  const copies = destination?.kind === 'TABLE' ? bytes + rows * WAL_BYTES_PER_ROW : 0;
  return {
    rows,
    rowsAreExact,
    share,
    bytes,
    estimatedSeconds: secondsAt(throttle.dutyCycle, seconds),
    walBytes: Math.round(rows * WAL_BYTES_PER_ROW + blocks * BLOCK_BYTES + copies),
    diskNeededBytes:
      destination === null ? 0 : Math.round(destination.kind === 'TABLE' ? bytes : bytes * COMPRESSED),
    bytesReclaimed: 0,
    bytesReusable: bytes,
  };
}

/** The table is read twice to find equal keys, and twice again to see that none is left. */
export function deduplicationForecast(
  relation: Relation,
  { rows, rowsAreExact, share, bytes, tableRows }: MeasuredRows,
  { dutyCycle }: Throttle,
  {
    destination,
    lookUpSeconds,
  }: { readonly destination: ArchiveDestination; readonly lookUpSeconds: number },
): PlanImpact {
  const reading = 4 * (tableRows / RATES.HASHED + relation.heapBytes / BYTES_PER_SECOND);
  const kept = destination.kind === 'TABLE' ? bytes : bytes * COMPRESSED;
  return {
    rows,
    rowsAreExact,
    share,
    bytes,
    // Reading takes no part in the duty cycle: it locks nothing and writes nothing.
    estimatedSeconds: Math.ceil(reading) + secondsAt(dutyCycle, rows / RATES.MERGED + lookUpSeconds),
    walBytes: Math.round(
      rows * (WAL_BYTES_PER_ROW + BLOCK_BYTES) + (destination.kind === 'TABLE' ? bytes : 0),
    ),
    diskNeededBytes: Math.round(kept),
    bytesReclaimed: 0,
    bytesReusable: bytes,
  };
}

/** One index after the other: the copy of the largest is the most that is needed at a time. wasted: null when not known */
export function reindexForecast(sizes: readonly number[], wasted: number | null): PlanImpact {
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return {
    ...NO_ROWS,
    bytes,
    estimatedSeconds: Math.ceil(bytes / INDEX_BYTES_PER_SECOND) + sizes.length,
    walBytes: bytes,
    diskNeededBytes: Math.max(0, ...sizes),
    bytesReclaimed: wasted,
    bytesReusable: 0,
  };
}

export const restoreForecast = (
  rows: number,
  rowsAreExact: boolean,
  share: number,
  bytes: number,
  dutyCycle: number,
): PlanImpact => ({
  rows,
  rowsAreExact,
  share,
  bytes,
  estimatedSeconds: secondsAt(dutyCycle, rows / RATES.RESTORE + bytes / BYTES_PER_SECOND),
  walBytes: Math.round(bytes + rows * WAL_BYTES_PER_ROW),
  diskNeededBytes: bytes,
  bytesReclaimed: 0,
  bytesReusable: 0,
});

const secondsAt = (dutyCycle: number, work: number): number => Math.ceil(work / dutyCycle) + AROUND_SECONDS;

const NO_ROWS = { rows: 0, rowsAreExact: true, share: 0 } as const;
