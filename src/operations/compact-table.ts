import type { OperationSpec } from '../domain/plan.ts';
import { isRestless } from '../domain/throttle.ts';
import { readIndex } from '../target/index-state.ts';
import { PATIENTLY_MS, readLeftovers } from '../target/index-statements.ts';
import type { Session } from '../target/session.ts';
import { sql } from '../target/sql.ts';
import { TargetError } from '../target/sqlstate.ts';
import {
  type Blocks,
  type Choice,
  lockableRows,
  type Moved,
  type Mover,
  moveRows,
  rowsIn,
  takeBack,
} from './compact-moves.ts';
import { countBlocks, endOfRows, listFrom } from './compact-places.ts';
import {
  type CompactState,
  deeper,
  fromTheEnd,
  indexAt,
  isAtFloor,
  isDoubtful,
  isGivenBack,
  isWorthwhile,
  nextRound,
  onceMore,
  reached,
  resumed,
} from './compact-state.ts';
import { compactVacuum, endKept, readHolders } from './compact-vacuum.ts';
import type { BatchSize, BatchWork, OperationContext, Piece, Statement } from './define-operation.ts';
import { dropUnfinished } from './drop-unfinished.ts';
import { placesCondition } from './pick-rows.ts';
import { keepsNothing } from './picked-work.ts';
import { reindexOne } from './reindex-one.ts';
import { RowPlaces } from './row-places.ts';

type Compact = Extract<OperationSpec, { readonly method: 'COMPACT' }>;

/** Blocks between the last that has got rows and the first that has lost them; nearer than this they have met. */
const MARGIN = 4;
/** Of these, that a batch takes at most: one that found no room would leave useless versions in what the next rows need. */
const APPROACH = 0.25;
/** So many batches in a row that meet them, or find no room, are no chance. */
const MET = 3;
/** So many batches in a row are left for later since somebody holds a row that theirs reference; then the run waits for that. */
const MOST_HELD = 5;
/** A row that moves costs ten times as much as one that is deleted. */
const LEAST_ROWS = 50;
/** Workers that help to build an index take the processors that others need. */
const ALONE = 'SET max_parallel_maintenance_workers = 0';
const MAX_SWEPT = 1_000_000;

/** Why rows stay for now: most would have come to lie behind their blocks; or somebody holds a row that they reference. */
type Left = 'BEHIND' | 'HELD';

/** Moves rows from a table's end into its free space in batches that anybody may interrupt, with a VACUUM before and after. */
export async function openCompact(context: OperationContext<Compact>): Promise<BatchWork> {
  const work = new CompactWork(context);
  await work.open();
  return work;
}

/** Rows are where they were or where they went, and whole; an index that was being built goes. */
export async function abandonCompact({ session, relation, spec }: OperationContext<Compact>): Promise<void> {
  const names = spec.indexes.map(({ name }) => name);
  for (const index of await readLeftovers(session, relation.oid, names))
    await dropUnfinished(session, index, PATIENTLY_MS);
}

class CompactWork implements BatchWork {
  readonly mode = 'BATCHES';
  readonly overlaps = false;
  readonly leastRows = LEAST_ROWS;
  readonly #context: OperationContext<Compact>;
  readonly #mover: Mover;
  #state: CompactState;
  /** not in the ledger yet */
  #isNew = false;
  #blocks = 0;
  /** batches in a row for which the first blocks had no room */
  #met = 0;
  /** batches in a row that somebody's lock on other tables has kept from moving */
  #held = 0;
  /** where rows of the last batch have come to lie; null: not known */
  #landed: number | null = null;
  /** rows, in this round */
  #moved = 0;
  #list = new RowPlaces();
  /** of the list, that have had their turn */
  #block = 0;
  #line = 0;
  readonly #afterCommit = new Map<Piece, () => void>();

  constructor(context: OperationContext<Compact>) {
    this.#context = context;
    this.#mover = { relation: context.relation, column: context.spec.column };
    this.#state = resumed(context.cursor as CompactState | null);
    // What the worker before has moved nobody knows: it is a reason to look once more.
    if (context.cursor !== null) this.#moved = 1;
  }

  async open(): Promise<void> {
    this.#blocks = await countBlocks(this.#context);
    this.#state = { ...this.#state, block: Math.min(this.#state.block, this.#blocks) };
  }

  get hasNext(): boolean {
    if (this.#isNew) return true;
    const { phase, block, floor } = this.#state;
    return phase === 'DESCENT'
      ? block > floor && this.#met < MET
      : phase === 'SWEEP' && this.#swept(1).length > 0;
  }

  statements(): readonly Statement[] {
    const { session, relation, throttle, spec } = this.#context;
    const { phase, round, indexes } = this.#state;
    const isGentle = !isRestless(throttle());
    if (phase === 'VACUUM' || phase === 'CUT' || phase === 'REREAD')
      return [
        compactVacuum(session, relation, { withToast: round === 0, isGentle, isWhole: phase === 'REREAD' }),
      ];
    const index = spec.indexes[indexes];
    if (phase !== 'INDEXES' || !index) return [];
    const isGone = async () => (await readIndex(session, index.schema, index.name)) === null;
    return [{ ...reindexOne(session, index), isDone: isGone, settings: isGentle ? [ALONE] : [] }];
  }

  async prepare(): Promise<boolean> {
    if (this.hasNext) return true;
    this.#state = await this.#following(this.#state);
    this.#isNew = true;
    return this.#state.phase !== 'DONE';
  }

  pick(size: BatchSize): Piece {
    if (this.#isNew) return this.#step();
    return this.#state.phase === 'DESCENT' ? this.#descend(size) : this.#sweep(size);
  }

  confirm(piece: Piece): void {
    this.#afterCommit.get(piece)?.();
    this.rewind();
  }

  rewind(): void {
    this.#afterCommit.clear();
  }

  /** What comes when a phase has nothing left to do. */
  async #following(state: CompactState): Promise<CompactState> {
    switch (state.phase) {
      case 'VACUUM':
        return this.#afterVacuum(state);
      case 'DESCENT':
        if (isAtFloor(state) && this.#met < MET) return { ...state, phase: 'CUT' };
        this.#list = await listFrom(this.#context, state.block, MAX_SWEPT);
        [this.#block, this.#line] = [0, 0];
        return reached(state);
      case 'CUT':
        this.#landed = null; // VACUUM sets the search for room back to the first page
        return deeper(state);
      case 'SWEEP':
        return { ...state, phase: 'VACUUM' };
      case 'REREAD':
        this.#blocks = await countBlocks(this.#context);
        return nextRound(state, this.#blocks);
      default:
        return indexAt(state, state.indexes + 1, this.#context.spec.indexes.length);
    }
  }

  async #afterVacuum(state: CompactState): Promise<CompactState> {
    this.#blocks = await countBlocks(this.#context);
    const hasMoved = this.#moved > 0;
    [this.#met, this.#landed, this.#moved] = [0, null, 0];
    if (state.round === 0) return nextRound(state, this.#blocks);
    const done = indexAt(state, 0, this.#context.spec.indexes.length);
    if (isGivenBack(state, this.#blocks))
      return isDoubtful(state, this.#blocks) ? { ...state, phase: 'REREAD' } : done;
    const end = await endOfRows(this.#context, state.goal);
    const hasRows = !isGivenBack(state, end);
    if (hasRows && hasMoved && isWorthwhile(state, this.#blocks)) return nextRound(state, this.#blocks);
    return (await this.#onceMore(hasRows ? fromTheEnd(state, this.#blocks) : state, end)) ?? done;
  }

  /** Somebody has locked the last rows, or uses the table or an old snapshot; null: rows of others fill the end. @throws Stop */
  async #onceMore(state: CompactState, end: number): Promise<CompactState | null> {
    const { session, relation } = this.#context;
    const holders = await readHolders(session, relation);
    const isFull = state.phase === 'DESCENT' && isGivenBack({ goal: end }, this.#blocks);
    if (isFull && holders.length === 0 && state.stuck > 0) return null;
    const again = onceMore(state);
    if (again === null) throw endKept(relation, holders);
    await session.transaction(() => session.query(sql`SELECT pg_catalog.pg_sleep(1)`));
    return again;
  }

  /** Writes down what comes next. */
  #step(): Piece {
    const treated = {
      units: 1,
      rows: 0,
      cursor: { ...this.#state },
      isStep: true,
      // from blocks to places of rows, and back
      unitsChange: this.#state.phase === 'SWEEP' || this.#state.phase === 'VACUUM',
      store: keepsNothing,
    };
    const piece: Piece = { treat: () => Promise.resolve(treated) };
    this.#afterCommit.set(piece, () => {
      this.#isNew = false;
    });
    return piece;
  }

  /** The last blocks that have not had their turn. */
  #descend({ units, maxRows, maxBytes }: BatchSize): Piece {
    const end = this.#state.block;
    const most = this.#landed === null ? units : Math.min(units, APPROACH * (end - this.#landed));
    const first = Math.max(this.#state.floor, end - Math.max(1, Math.floor(most)));
    const piece: Piece = {
      treat: async (session) => {
        // One block may have more rows than a batch: it has several turns.
        const isOne = end - first <= 1;
        const rows = rowsIn(this.#mover, first, end, isOne ? maxRows : maxRows + 1);
        const moved = await this.#move(session, { rows, most: maxRows, maxBytes }, { first, end });
        const isPart = isOne && typeof moved !== 'string' && moved.rows > 0 && moved.picked === maxRows;
        const state = isPart ? this.#state : { ...this.#state, block: first };
        this.#afterCommit.set(piece, () => this.#descended(moved, state));
        return {
          units: end - first,
          rows: rowsOf(moved),
          cursor: { ...state },
          store: keepsNothing,
        };
      },
    };
    return piece;
  }

  /** @throws TargetError LOCKED once too many batches in a row had to be left */
  async #move(session: Session, choice: Choice, from: Blocks): Promise<Moved | Left> {
    let left: Left = 'BEHIND';
    try {
      const moved = await moveRows(session, this.#mover, choice, from);
      if (moved.rows > 0) this.#held = 0;
      if (moved.above * 2 <= moved.rows) return moved;
    } catch (error) {
      const isHeld = error instanceof TargetError && error.failure === 'LOCKED';
      if (!isHeld || this.#held === MOST_HELD) throw error;
      this.#held += 1;
      left = 'HELD';
    }
    await takeBack(session);
    return left;
  }

  #descended(moved: Moved | Left, state: CompactState): void {
    if (moved === 'BEHIND' || rowsOf(moved) > 0) {
      const landed = typeof moved === 'string' ? null : moved.landed;
      this.#landed = landed ?? this.#landed;
      const hasMet = moved === 'BEHIND' || (landed ?? 0) >= state.block - MARGIN;
      this.#met = hasMet ? this.#met + 1 : 0;
    }
    if (moved === 'BEHIND') return;
    this.#moved += rowsOf(moved);
    this.#state = state;
  }

  #sweep({ units, maxRows, maxBytes }: BatchSize): Piece {
    const places = this.#swept(Math.max(1, Math.floor(Math.min(units, maxRows))));
    const last = places.at(-1);
    const from = { first: this.#state.block, end: [...new Set(places.map(({ block }) => block))] };
    const piece: Piece = {
      treat: async (session) => {
        const picked = lockableRows(this.#mover, placesCondition(places));
        const choice = { rows: picked, most: places.length, maxBytes };
        const rows = rowsOf(await this.#move(session, choice, from));
        this.#afterCommit.set(piece, () => {
          this.#moved += rows;
          if (last) [this.#block, this.#line] = [last.block, last.line + 1];
        });
        return { units: places.length, rows, cursor: { ...this.#state }, store: keepsNothing };
      },
    };
    return piece;
  }

  #swept(count: number): { block: number; line: number }[] {
    return this.#list.after(this.#block, this.#line, count);
  }
}

const rowsOf = (moved: Moved | Left): number => (typeof moved === 'string' ? 0 : moved.rows);
