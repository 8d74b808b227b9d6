import type { Clock } from '../clock.ts';
import { NO_RESULT, type RunResult } from '../domain/run.ts';
import type { Log } from '../log.ts';
import type { Operation } from '../operations/define-operation.ts';
import { type Claim, recordProgress } from '../store/leases.ts';
import type { Store } from '../store/open-store.ts';
import { appendEvent } from '../store/run-events.ts';

const WRITE_MS = 500;
/** Events grow sparser as a run grows older, so that a long one does not fill the store. */
const eventEvery = (elapsedMs: number) => Math.min(30_000, Math.max(1_000, elapsedMs / 60));
/** How far back the shown rate looks. */
const RATE_MS = 10_000;

/** What people see of a run: written at most twice a second, and once more at the end. */
export class RunProgress {
  readonly #store: Store;
  readonly #claim: Claim;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counts: Operation['counts'];
  readonly #startedAt: number;
  #rowsDone: number;
  /** rows of other tables that went along */
  #included: number;
  #batches: number;
  #batchRows = 0;
  #throttleReason: string | null = null;
  #isResting = false;
  #result: RunResult = NO_RESULT;
  #writtenAt = -Infinity;
  #toldAt: number;
  #samples: { at: number; rows: number }[] = [];

  constructor(
    deps: { store: Store; clock: Clock; log: Log },
    claim: Claim,
    counts: Operation['counts'],
    done: { rows: number; included: number; batches: number },
  ) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#claim = claim;
    this.#counts = counts;
    this.#startedAt = deps.clock.monotonicMs();
    this.#toldAt = this.#startedAt;
    this.#rowsDone = done.rows;
    this.#included = done.included;
    this.#batches = done.batches;
    this.#samples.push({ at: this.#startedAt, rows: done.rows });
  }

  get rowsDone(): number {
    return this.#rowsDone;
  }

  get result(): RunResult {
    return this.#counts === null ? this.#result : { ...this.#result, ...this.#counted() };
  }

  setResult(part: Partial<RunResult>): void {
    this.#result = { ...this.#result, ...part };
  }

  /** slowed: why the run works less than it was told to */
  async add(
    batch: { rows: number; included: number; isEntered: boolean },
    slowed: string | null,
  ): Promise<void> {
    this.#rowsDone += batch.rows;
    this.#included += batch.included;
    if (batch.isEntered) this.#batches += 1;
    this.#batchRows = batch.rows;
    this.#isResting = false;
    this.#throttleReason = slowed;
    await this.#show(() => this.#maybeWrite());
  }

  async resting(reason: string): Promise<void> {
    const isNew = !this.#isResting;
    this.#isResting = true;
    this.#throttleReason = reason;
    await this.#show(async () => {
      if (isNew) await appendEvent(this.#store, this.#claim.runId, { kind: 'THROTTLED', message: reason });
      await this.#maybeWrite();
    });
  }

  /** How far a statement is, which has no rows to count. */
  async moves(message: string, data: Readonly<Record<string, unknown>>): Promise<void> {
    this.#isResting = false;
    this.#throttleReason = null;
    await this.#show(async () => {
      await appendEvent(this.#store, this.#claim.runId, { kind: 'PROGRESS', message, data });
      await this.#maybeWrite();
    });
  }

  /** What has been done is not to be done again because nobody could be told. */
  async tells(event: { kind: string; message: string }): Promise<void> {
    await this.#show(() => appendEvent(this.#store, this.#claim.runId, event));
  }

  /** The last word before the run changes its state. */
  async flush(): Promise<void> {
    await this.#write(this.#clock.monotonicMs());
  }

  /** Progress is for people: where it can't be written, the batches go on, and the ledger knows. */
  async #show(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.warn({ err: error, run: this.#claim.runId }, 'progress could not be written');
    }
  }

  /** Archived rows are deleted rows too. */
  #counted(): Partial<RunResult> {
    const rows = this.#rowsDone + this.#included;
    if (this.#counts === 'rowsArchived') return { rowsArchived: rows, rowsDeleted: rows };
    return this.#counts === null ? {} : { [this.#counts]: rows };
  }

  async #maybeWrite(): Promise<void> {
    const now = this.#clock.monotonicMs();
    if (now - this.#writtenAt < WRITE_MS) return;
    await this.#write(now);
    if (now - this.#toldAt >= eventEvery(now - this.#startedAt)) await this.#tell(now);
  }

  async #write(now: number): Promise<void> {
    this.#writtenAt = now;
    this.#samples.push({ at: now, rows: this.#rowsDone });
    while (this.#samples.length > 2 && now - (this.#samples[1]?.at ?? now) > RATE_MS) this.#samples.shift();
    await recordProgress(this.#store, this.#claim, {
      rowsDone: this.#rowsDone,
      batches: this.#batches,
      rowsPerSecond: this.#rate(now),
      batchRows: this.#batchRows,
      throttleReason: this.#throttleReason,
      result: this.result,
    });
  }

  async #tell(now: number): Promise<void> {
    this.#toldAt = now;
    await appendEvent(this.#store, this.#claim.runId, {
      kind: 'PROGRESS',
      message: `${this.#rowsDone} rows done.`,
      data: {
        rowsDone: this.#rowsDone,
        batches: this.#batches,
        rowsPerSecond: this.#rate(now),
        batchRows: this.#batchRows,
      },
    });
  }

  #rate(now: number): number | null {
    const first = this.#samples[0];
    if (!first || now - first.at < 1) return null;
    return Math.round(((this.#rowsDone - first.rows) / (now - first.at)) * 1000);
  }
}
