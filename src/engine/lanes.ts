import { isRestless } from '../domain/throttle.ts';
import type { BatchWork } from '../operations/define-operation.ts';
import { LANES } from '../target/ledger.ts';
import { type Lane, prepareBatches } from './batch.ts';
import type { BatchPerformance } from './perform-batches.ts';

/**
 * Two lanes where the batches have nothing to do with each other and no rest is wanted; else one, in the run's own session: a
 * batch that waits for its turn while the one before rests would keep its locks all that time.
 */
export class Lanes {
  readonly #work: BatchWork;
  readonly #run: BatchPerformance;
  readonly #opened = new Map<string, Lane>();
  #count = 0;

  constructor(work: BatchWork, run: BatchPerformance) {
    this.#work = work;
    this.#run = run;
  }

  /** As many as the throttle asks for now. */
  async take(): Promise<Lane[]> {
    this.#count = this.#wanted;
    const lanes: Lane[] = [];
    for (let number = 1; number <= this.#count; number += 1) {
      lanes.push(this.#count === 1 ? await this.#own() : await this.#other(number));
    }
    return lanes;
  }

  /** Whether those that were taken are as many as the throttle asks for. */
  get fit(): boolean {
    return this.#count === this.#wanted;
  }

  get first(): Lane {
    return [...this.#opened.values()][0] as Lane;
  }

  get #wanted(): number {
    return this.#work.overlaps && isRestless(this.#run.lease.latest.throttle) ? LANES : 1;
  }

  #own(): Promise<Lane> {
    return this.#keep('own', () => Promise.resolve({ number: 1, session: this.#run.session }));
  }

  #other(number: number): Promise<Lane> {
    return this.#keep(`lane ${number}`, async () => ({ number, session: await this.#run.openLane(number) }));
  }

  async #keep(name: string, open: () => Promise<Lane>): Promise<Lane> {
    const known = this.#opened.get(name);
    if (known) return known;
    const lane = await open();
    await prepareBatches(lane.session, this.#run.plan);
    this.#opened.set(name, lane);
    return lane;
  }
}
