import type { BatchWork, Piece } from '../operations/define-operation.ts';
import { Fenced, type LedgerPosition } from '../target/ledger.ts';
import {
  type BatchContext,
  beginBatch,
  type BatchResult,
  commitBatch,
  type Lane,
  type OpenBatch,
  TurnBroken,
} from './batch.ts';

interface PipelineDeps {
  readonly work: BatchWork;
  readonly context: BatchContext;
  readonly lanes: readonly Lane[];
  /** @throws Stop before a batch that its plan does not allow is committed */
  readonly allow: (totalRows: number, totalIncluded: number) => void;
  /** after each COMMIT, in order */
  readonly committed: (batch: BatchResult) => Promise<void>;
}

/**
 * Batches in as many lanes as there are: while one is made durable and committed, the next is treated already. They commit in
 * the order in which they were picked, so that the cursor in the ledger never has a gap behind it; when one fails, all that
 * came after it are rolled back too.
 */
export class Pipeline {
  readonly #deps: PipelineDeps;
  readonly #busy: Promise<void>[];
  #position: LedgerPosition;
  #last: Promise<void> = Promise.resolve();
  #turn = 0;

  constructor(deps: PipelineDeps, position: LedgerPosition) {
    this.#deps = deps;
    this.#position = position;
    this.#busy = deps.lanes.map(() => Promise.resolve());
  }

  /** Waits for a free lane and sets a batch off in it. @throws what an earlier batch in that lane failed with */
  async add(pick: () => Piece): Promise<void> {
    const turn = this.#turn % this.#deps.lanes.length;
    await this.#busy[turn];
    this.#turn += 1;
    const piece = pick();
    const lane = this.#deps.lanes[turn] as Lane;
    const begun = beginBatch(this.#deps.context, lane, this.#position.fence, piece);
    const done = this.#finish(piece, begun, this.#last);
    this.#last = done;
    this.#busy[turn] = done;
    done.catch(() => undefined); // whoever waits for the lane, or for all, hears of it
  }

  /** Waits until every batch has committed. @throws what the first that failed has failed with */
  async drain(): Promise<LedgerPosition> {
    await this.#last;
    return this.#position;
  }

  /** Waits until no batch is under way, whatever became of it, and makes ready to go on behind the last that committed. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#busy);
    this.#deps.work.rewind();
    this.#last = Promise.resolve();
    for (const turn of this.#deps.lanes.keys()) this.#busy[turn] = Promise.resolve();
  }

  async #finish(piece: Piece, begun: Promise<OpenBatch>, previous: Promise<void>): Promise<void> {
    const [before, batch] = await Promise.allSettled([previous, begun]);
    if (before.status === 'rejected') {
      if (batch.status === 'fulfilled') await batch.value.lane.session.rollback();
      throw before.reason;
    }
    if (batch.status === 'rejected') throw batch.reason;
    await this.#commit(piece, batch.value);
  }

  async #commit(piece: Piece, batch: OpenBatch): Promise<void> {
    const { work, context, allow, committed } = this.#deps;
    const totalRows = this.#position.totalRows + batch.rows;
    const totalIncluded = this.#position.totalIncluded + (batch.included ?? 0);
    try {
      allow(totalRows, totalIncluded);
    } catch (error) {
      await batch.lane.session.rollback();
      throw error;
    }
    const done = await commitBatch(context, batch, this.#position);
    if (done.isEntered) {
      this.#position = {
        ...this.#position,
        number: this.#position.number + 1,
        cursor: done.cursor,
        totalRows,
        totalIncluded,
      };
    }
    work.confirm(piece, done.rows);
    try {
      await committed(done);
    } catch (error) {
      throw error instanceof Fenced ? error : new TurnBroken(error);
    }
  }
}
