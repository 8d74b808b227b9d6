import type { OperationSpec } from '../domain/plan.ts';
import { isRestless } from '../domain/throttle.ts';
import { readIndex } from '../target/index-state.ts';
import { PATIENTLY_MS, readLeftovers } from '../target/index-statements.ts';
import type { Session } from '../target/session.ts';
import { ident, integer, literal, type Sql, sql, toBoundStatement } from '../target/sql.ts';
import {
  type Blocks,
  lockableRows,
  type Mover,
  moveRows,
  type Moved,
  rowsIn,
  takeBack,
} from './compact-moves.ts';
import {
  type CompactState,
  indexAt,
  isDoubtful,
  isGivenBack,
  isWorthwhile,
  nextRound,
  onceMore,
  reached,
  resumed,
} from './compact-state.ts';
import { compactVacuum, endKept, readHolders } from './compact-vacuum.ts';
import type { BatchSize, BatchWork, Json, OperationContext, Piece, Statement } from './define-operation.ts';
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
/** A row that moves costs ten times as much as one that is deleted. */
const LEAST_ROWS = 50;
/** Workers that help to build an index take the processors that others need. */
const ALONE = 'SET max_parallel_maintenance_workers = 0';
const MAX_SWEPT = 1_000_000;

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
    this.#blocks = await this.#countBlocks();
    this.#state = { ...this.#state, block: Math.min(this.#state.block, this.#blocks) };
  }

  get hasNext(): boolean {
    if (this.#isNew) return true;
    const { phase, block } = this.#state;
    return phase === 'DESCENT'
      ? block > 0 && this.#met < MET
      : phase === 'SWEEP' && this.#swept(1).length > 0;
  }

  statements(): readonly Statement[] {
    const { session, relation, plan, spec } = this.#context;
    const { phase, round, indexes } = this.#state;
    const isGentle = !isRestless(plan.throttle);
    if (phase === 'VACUUM' || phase === 'REREAD')
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
        this.#list = await this.#listFrom(state.block, MAX_SWEPT);
        [this.#block, this.#line] = [0, 0];
        return reached(state);
      case 'SWEEP':
        return { ...state, phase: 'VACUUM' };
      case 'REREAD':
        this.#blocks = await this.#countBlocks();
        return nextRound(state, this.#blocks);
      default:
        return indexAt(state, state.indexes + 1, this.#context.spec.indexes.length);
    }
  }

  async #afterVacuum(state: CompactState): Promise<CompactState> {
    this.#blocks = await this.#countBlocks();
    const hasMoved = this.#moved > 0;
    [this.#met, this.#landed, this.#moved] = [0, null, 0];
    if (state.round === 0) return nextRound(state, this.#blocks);
    const done = indexAt(state, 0, this.#context.spec.indexes.length);
    if (isGivenBack(state, this.#blocks))
      return isDoubtful(state, this.#blocks) ? { ...state, phase: 'REREAD' } : done;
    const isEmpty = (await this.#listFrom(state.goal, 1)).size === 0;
    if (!isEmpty && hasMoved && isWorthwhile(state, this.#blocks)) return nextRound(state, this.#blocks);
    return (await this.#onceMore(state, isEmpty)) ?? done;
  }

  /**
   * Somebody has locked the last rows, or uses the table or an old snapshot; null: rows that others have put there since have
   * nowhere to go. @throws Stop when that goes on
   */
  async #onceMore(state: CompactState, isEmpty: boolean): Promise<CompactState | null> {
    const { session, relation } = this.#context;
    const holders = await readHolders(session, relation);
    if (!isEmpty && holders.length === 0 && state.stuck > 0) return null;
    const again = onceMore(state, isEmpty ? {} : { phase: 'DESCENT', block: this.#blocks });
    if (again === null) throw endKept(relation, holders);
    await session.transaction(() => session.query(sql`SELECT pg_catalog.pg_sleep(1)`));
    return again;
  }

  /** Writes down what comes next. */
  #step(): Piece {
    const treated = {
      units: 1,
      rows: 0,
      cursor: this.#cursor(this.#state),
      isStep: true,
      store: keepsNothing,
    };
    const piece: Piece = { treat: () => Promise.resolve(treated) };
    this.#afterCommit.set(piece, () => {
      this.#isNew = false;
    });
    return piece;
  }

  /** The last blocks that have not had their turn. */
  #descend({ units }: BatchSize): Piece {
    const end = this.#state.block;
    const most = this.#landed === null ? units : Math.min(units, APPROACH * (end - this.#landed));
    const first = Math.max(0, end - Math.max(1, Math.floor(most)));
    const state = { ...this.#state, block: first };
    const piece: Piece = {
      treat: async (session) => {
        const picked = rowsIn(this.#mover, first, end);
        const moved = await this.#unlessBehind(session, picked, { first, end });
        this.#afterCommit.set(piece, () => this.#descended(moved, state));
        return {
          units: end - first,
          rows: moved?.rows ?? 0,
          cursor: this.#cursor(state),
          store: keepsNothing,
        };
      },
    };
    return piece;
  }

  /** null: most rows would have come to lie behind their blocks, so they stay. */
  async #unlessBehind(session: Session, picked: Sql, from: Blocks): Promise<Moved | null> {
    const moved = await moveRows(session, this.#mover, picked, from);
    if (moved.above * 2 <= moved.rows) return moved;
    await takeBack(session);
    return null;
  }

  #descended(moved: Moved | null, state: CompactState): void {
    if (moved?.rows !== 0) {
      this.#landed = moved?.landed ?? this.#landed;
      const hasMet = moved === null || (moved.landed ?? 0) >= state.block - MARGIN;
      this.#met = hasMet ? this.#met + 1 : 0;
    }
    if (moved === null) return;
    this.#moved += moved.rows;
    this.#state = state;
  }

  #sweep({ units }: BatchSize): Piece {
    const places = this.#swept(Math.max(1, Math.floor(units)));
    const last = places.at(-1);
    const from = { first: this.#state.block, end: [...new Set(places.map(({ block }) => block))] };
    const piece: Piece = {
      treat: async (session) => {
        const picked = lockableRows(this.#mover, placesCondition(places));
        const rows = (await this.#unlessBehind(session, picked, from))?.rows ?? 0;
        this.#afterCommit.set(piece, () => {
          this.#moved += rows;
          if (last) [this.#block, this.#line] = [last.block, last.line + 1];
        });
        return { units: places.length, rows, cursor: this.#cursor(this.#state), store: keepsNothing };
      },
    };
    return piece;
  }

  #swept(count: number): { block: number; line: number }[] {
    return this.#list.after(this.#block, this.#line, count);
  }

  #cursor(state: CompactState): Json {
    return { ...state };
  }

  /** Places of rows from a block on. */
  async #listFrom(block: number, limit: number): Promise<RowPlaces> {
    const { session, relation } = this.#context;
    const statement = toBoundStatement(sql`
      COPY (SELECT ctid FROM ONLY ${ident(relation.schema, relation.name)} WHERE ctid >= ${literal(`(${block},0)`)}::pg_catalog.tid
             ORDER BY ctid LIMIT ${integer(limit)}) TO STDOUT`);
    const places = new RowPlaces();
    await session.transaction(async () => {
      await session.longRead();
      await session.copyOut(statement, (chunk, start, end) => places.read(chunk.subarray(start, end)));
    });
    return places;
  }

  async #countBlocks(): Promise<number> {
    const { session, relation } = this.#context;
    const { blocks } = await session.transaction(() =>
      session.one<{ blocks: number }>(sql`
        SELECT (pg_catalog.pg_relation_size(${integer(relation.oid)}::pg_catalog.oid)
                / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.float8 AS blocks`),
    );
    return blocks;
  }
}
