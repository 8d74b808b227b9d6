import type { Throttle } from '../domain/run.ts';
import type { BatchSize, BatchTooLarge } from '../operations/define-operation.ts';

/** Uncompressed bytes of one batch: a few of these are in memory at a time. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Below this many rows the fixed cost of a batch (fence, ledger, commit) weighs more than its rows. */
const MIN_ROWS = 500;
const MAX_UNITS = 200_000;
const FIRST_UNITS = 16;
/** How much a batch may grow by; a row that is large is over after its batch, and the next are as they were. */
const [SLOWLY, SOON] = [1.02, 1.5];
/** A sixteenth of a block's line pointers, down to a single row. */
const MIN_UNITS = 1 / 1_200;

/**
 * Tunes how many units (heap blocks, places, rows) a batch takes by the time that the last ones took, below the caller's
 * upper bound of rows. Grows at most twofold, so that one quick batch through empty blocks does not make a long one.
 */
export class BatchTuner {
  #units: number;
  #rowsPerUnit = 0;
  /** what was too large once is come near to only slowly again */
  #cap = MAX_UNITS;
  #regain = SLOWLY;

  readonly #firstUnits: number;
  readonly #leastRows: number;

  /** bytesPerUnit: on average, where it is known: a first batch far too large would be read to its end */
  constructor(bytesPerUnit = 0, leastRows = MIN_ROWS) {
    this.#leastRows = leastRows;
    this.#firstUnits = Math.max(MIN_UNITS, Math.min(FIRST_UNITS, MAX_BYTES / bytesPerUnit));
    this.#units = this.#firstUnits;
  }

  size(throttle: Throttle): BatchSize {
    return { units: this.#units, maxRows: throttle.batchRows, maxBytes: MAX_BYTES };
  }

  /** What was learnt is of other units. */
  restart(): void {
    [this.#units, this.#rowsPerUnit, this.#cap, this.#regain] = [this.#firstUnits, 0, MAX_UNITS, SLOWLY];
  }

  /** ms: of the batch's own work, without waiting for the fence or the commit. */
  record(batch: { ms: number; units: number; rows: number }, throttle: Throttle): void {
    if (batch.units === 0) return;
    this.#cap = Math.min(MAX_UNITS, this.#cap * this.#regain);
    this.#rowsPerUnit = Math.max(batch.rows / batch.units, this.#rowsPerUnit * 0.9);
    // A batch cut short by the end of the table says nothing about a longer one.
    if (batch.units < this.#units / 2) return;
    const factor = Math.min(2, Math.max(0.5, throttle.batchMs / Math.max(batch.ms, 0.05)));
    const floor = this.#rowsPerUnit > 0 ? this.#leastRows / this.#rowsPerUnit : 1;
    const ceiling = this.#rowsPerUnit > 0 ? (throttle.batchRows * 0.9) / this.#rowsPerUnit : MAX_UNITS;
    const highest = Math.min(ceiling, this.#cap);
    this.#units = clamp(batch.units * factor, Math.min(floor, highest), highest);
    if (this.#units > 1) this.#units = Math.floor(this.#units);
  }

  /** The last batch was too large. False when it can't be made smaller. */
  shrink(reason: BatchTooLarge['reason'] = 'ROWS'): boolean {
    this.#regain = reason === 'BYTES' ? SOON : SLOWLY;
    if (this.#units <= MIN_UNITS) return false;
    this.#units = Math.max(MIN_UNITS, this.#units > 1 ? Math.floor(this.#units / 2) : this.#units / 4);
    this.#cap = this.#units;
    return true;
  }
}

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
