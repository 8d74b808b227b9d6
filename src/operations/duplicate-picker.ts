import { Stop } from '../domain/stop.ts';
import { HASH_VALUES } from '../target/duplicate-key.ts';
import {
  type DuplicatePlaces,
  findDuplicatePlaces,
  type HashedRows,
  type HashRange,
  type Place,
} from '../target/duplicate-places.ts';
import type { Session } from '../target/session.ts';
import type { Json } from './define-operation.ts';

/** Where a run is: lists are made anew by whoever goes on, of what is left by then. */
export interface DuplicateCursor {
  /** how often all hashes have been gone through */
  readonly round: number;
  /** the first hash of the present list */
  readonly from: number;
}

export interface PickedDuplicates {
  readonly places: readonly Place[];
  readonly end: number;
  readonly cursor: DuplicateCursor;
}

/** After the first round each takes in what has changed since. Keys that repeat again and again for ever stop the run. */
const MAX_ROUNDS = 10;
/** Rows that move on faster than they can be locked are looked for so often. */
const MAX_IDLE_ROUNDS = 3;
const ALL: HashRange = { from: 0, to: HASH_VALUES };

/** Finds rows with equal keys by lists of their places, made outside of a transaction that changes anything. */
export class DuplicatePicker {
  readonly #session: Session;
  readonly #rows: HashedRows;
  #round: number;
  #from: number;
  #width = HASH_VALUES;
  #range = ALL;
  #found: DuplicatePlaces | null = null;
  #at = 0;
  #confirmed = 0;
  /** rows that went in this round; not known of a round that another worker began */
  #removed: number;
  #listed = 0;
  #idle = 0;

  constructor(session: Session, rows: HashedRows, cursor: Json) {
    const at = cursor as DuplicateCursor | null;
    this.#session = session;
    this.#rows = rows;
    this.#round = at?.round ?? 0;
    this.#from = at?.from ?? 0;
    this.#removed = at === null ? 0 : 1;
  }

  get hasNext(): boolean {
    return this.#at < (this.#found?.rows ?? 0);
  }

  /** When all that was picked is confirmed: makes the next list. False when no key repeats any more. */
  async prepare(): Promise<boolean> {
    for (;;) {
      if (this.hasNext) return true;
      if (this.#found !== null && !this.#advance()) return false;
      await this.#list();
    }
  }

  pick(units: number): PickedDuplicates {
    if (!this.#found) throw new TypeError('pick() without hasNext');
    const { places, end } = this.#found.take(this.#at, Math.floor(units));
    this.#at = end;
    return { places, end, cursor: { round: this.#round, from: this.#range.from } };
  }

  confirm({ end }: PickedDuplicates, rows: number): void {
    this.#confirmed = end;
    this.#removed += rows;
  }

  rewind(): void {
    this.#at = this.#confirmed;
  }

  /** On to the next hashes, or to the first again; false: a whole round has found nothing to do. */
  #advance(): boolean {
    this.#from = this.#range.to;
    if (this.#from < HASH_VALUES) return true;
    this.#idle = this.#removed === 0 ? this.#idle + 1 : 0;
    const isDone = this.#removed === 0 && (this.#listed === 0 || this.#idle >= MAX_IDLE_ROUNDS);
    return !isDone && this.#again();
  }

  #again(): boolean {
    this.#round += 1;
    if (this.#round >= MAX_ROUNDS) throw endless();
    this.#from = 0;
    this.#removed = 0;
    this.#listed = 0;
    return true;
  }

  async #list(): Promise<void> {
    const wanted = { from: this.#from, to: Math.min(HASH_VALUES, this.#from + this.#width) };
    const { found, range } = await this.#session.transaction(async () => {
      await this.#session.longRead();
      return findDuplicatePlaces(this.#session, this.#rows, wanted);
    });
    this.#found = found;
    this.#range = range;
    this.#width = 2 * (range.to - range.from);
    this.#listed += found.rows;
    this.#at = 0;
    this.#confirmed = 0;
  }
}

const endless = (): Stop =>
  new Stop(
    'ROWS_KEPT',
    `Keys repeat again after ${MAX_ROUNDS} rounds: others add duplicates as fast as they are removed. Stop them, or create the unique index that the plan names; then resume, or cancel the run.`,
  );
