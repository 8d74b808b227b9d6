import type { PartitionSpec } from '../domain/partition.ts';
import type { OperationSpec } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { compileFilter } from '../target/row-filter.ts';
import type { Session } from '../target/session.ts';
import { ident, join, type Sql, sql } from '../target/sql.ts';
import { createHolder } from './archive-table.ts';
import type { BatchSize, BatchWork, Json, OperationContext, Piece, Treated } from './define-operation.ts';
import { attach, detach, type DetachedState, drop, meddled, readDetached } from './detach-partition.ts';
import { keepRows } from './move-rows.ts';
import { behind, type PartitionCursor } from './partition-cursor.ts';
import { type PickCursor, RowPicker } from './pick-rows.ts';
import { keepsNothing, pickedWork, type TreatRows } from './picked-work.ts';

type Context = OperationContext<Extract<OperationSpec, { kind: 'PURGE' | 'ARCHIVE' }>>;

/** How far the rows of a detached partition are in the archive: all before the place. */
export interface CopyCursor extends PickCursor {
  readonly copied: number;
  /** that the places are of */
  readonly file: number;
}

type State = 'ATTACHED' | 'DETACHED' | 'COPYING' | 'COPIED' | 'GONE' | 'BY_ROWS';

/**
 * A partition of which all rows go: it is detached; looked at again, since rows may have come until then; its rows are copied to
 * the archive, if there is one; and it is dropped once the archive holds them all. Rows count as live, in the detached table,
 * until the batch that has copied them is committed.
 */
export class WholePartition implements BatchWork {
  readonly mode = 'BATCHES';
  readonly overlaps = false;
  readonly #context: Context;
  readonly #partition: PartitionSpec;
  readonly #index: number;
  #state: State;
  #copy: CopyCursor | null;
  #work: BatchWork | null = null;

  constructor(context: Context, partition: PartitionSpec, { partition: index, state, at }: PartitionCursor) {
    this.#context = context;
    this.#partition = partition;
    this.#index = index;
    this.#state = state === 'DETACHED' ? 'DETACHED' : 'ATTACHED';
    this.#copy = state === 'DETACHED' ? (at as unknown as CopyCursor | null) : null;
  }

  get isDetached(): boolean {
    return this.#state !== 'ATTACHED';
  }

  /** Not all of its rows match any more: it is attached, and wants to be treated like an ordinary table. */
  get goesByRows(): boolean {
    return this.#state === 'BY_ROWS';
  }

  get hasNext(): boolean {
    return this.#work?.hasNext ?? false;
  }

  async prepare(): Promise<boolean> {
    while (!this.hasNext) {
      this.#work = await this.#nextStep();
      if (this.#work === null) return false;
    }
    return true;
  }

  pick(size: BatchSize): Piece {
    return (this.#work as BatchWork).pick(size);
  }

  confirm(piece: Piece, rows: number): void {
    this.#work?.confirm(piece, rows);
  }

  rewind(): void {
    this.#work?.rewind();
  }

  /** null: nothing is left to do with it as a whole. */
  async #nextStep(): Promise<BatchWork | null> {
    if (this.#state === 'ATTACHED' && !this.#partition.implied && (await this.#hasOthers()))
      this.#state = 'BY_ROWS';
    else if (this.#state === 'ATTACHED') return this.#step('DETACHED', (session) => this.#detach(session));
    if (this.#state === 'DETACHED') {
      if (this.#copy === null && (await this.#hasOthers()))
        return this.#step('BY_ROWS', (session) => this.#attach(session));
      if (this.#context.spec.kind === 'ARCHIVE') return this.#openCopy();
      this.#state = 'COPIED';
    }
    if (this.#state === 'COPYING') this.#state = 'COPIED';
    return this.#state === 'COPIED' ? this.#step('GONE', (session) => this.#drop(session)) : null;
  }

  /** Something that is done at once, and brings the partition into another state. */
  #step(state: State, treat: (session: Session) => Promise<Pick<Treated, 'rows' | 'cursor'>>): BatchWork {
    let isPicked = false;
    const isDone = () => this.#state === state;
    return {
      mode: 'BATCHES',
      overlaps: false,
      get hasNext() {
        return !isPicked;
      },
      prepare: () => Promise.resolve(false),
      pick: () => {
        isPicked = true;
        return {
          treat: async (session) => ({
            ...(await treat(session)),
            units: 1,
            isStep: true,
            store: keepsNothing,
          }),
        };
      },
      confirm: () => {
        this.#state = state;
      },
      rewind: () => {
        isPicked = isDone();
      },
    };
  }

  /** Whether there are rows that the filter does not choose; once it is detached, nobody adds one. */
  async #hasOthers(): Promise<boolean> {
    const { session, spec, relation } = this.#context;
    return session.transaction(async () => {
      await session.longRead();
      const { found } = await session.one<{ found: boolean }>(
        sql`SELECT EXISTS (SELECT FROM ONLY ${this.#table} WHERE (${compileFilter(spec.filter, relation)}) IS NOT TRUE) AS found`,
      );
      return found;
    });
  }

  get #table(): Sql {
    return ident(this.#partition.schema, this.#partition.name);
  }

  async #detach(session: Session) {
    await detach(session, this.#partition);
    return { rows: 0, cursor: this.#cursor('DETACHED', null) };
  }

  async #attach(session: Session) {
    await this.#assertOurs(session);
    await attach(session, this.#partition);
    return { rows: 0, cursor: this.#cursor('ROWS', null) };
  }

  async #drop(session: Session) {
    await this.#assertOurs(session);
    const isKept = this.#context.spec.kind === 'ARCHIVE';
    const copied = this.#copy?.copied ?? 0;
    const rows = await drop(session, this.#partition, (found) => {
      if (isKept && found > copied) throw notAllKept(this.#partition, found, copied);
    });
    return { rows: isKept ? 0 : rows, cursor: { ...behind(this.#index) } };
  }

  async #openCopy(): Promise<BatchWork> {
    const { session, spec } = this.#context;
    if (spec.kind === 'ARCHIVE' && spec.destination.kind === 'TABLE')
      await createHolder(this.#context, spec.destination);
    const { file } = await session.transaction(() => this.#assertOurs(session));
    this.#state = 'COPYING';
    const at = this.#copy as unknown as Json;
    const picker = new RowPicker(session, this.#table, sql`true`, 'HEAP_RANGES', at, { lists: false });
    await picker.open();
    return this.#copying(pickedWork(picker, this.#copyRows(file), { overlaps: false }));
  }

  /** One batch is under way at a time. */
  #copying(work: BatchWork): BatchWork {
    let treated: CopyCursor | null = null;
    return {
      ...work,
      get hasNext() {
        return work.hasNext;
      },
      pick: (size) => {
        const piece = work.pick(size);
        const { treat } = piece;
        // The piece stays the same one: it is known by that.
        return Object.assign(piece, {
          treat: async (session: Session) => {
            const done = await treat(session);
            treated = done.cursor as unknown as CopyCursor;
            return { ...done, cursor: this.#cursor('DETACHED', done.cursor) };
          },
        });
      },
      confirm: (piece, rows) => {
        work.confirm(piece, rows);
        this.#copy = treated;
      },
    };
  }

  #copyRows(file: number): TreatRows {
    const columns = join(
      this.#context.relation.columns.map(({ name }) => ident(name)),
      ', ',
    );
    return async (session, places, size) => {
      await this.#assertOurs(session);
      const rows = sql`SELECT ${columns} FROM ONLY ${this.#table} WHERE ${places}`;
      const kept = await keepRows(this.#context, session, rows, size);
      return { ...kept, mark: { copied: (this.#copy?.copied ?? 0) + kept.rows, file } };
    };
  }

  /** As it was left when it was detached, and as it was when rows were copied from their places. */
  async #assertOurs(session: Session): Promise<DetachedState> {
    const state = await readDetached(session, this.#partition);
    if (state?.isOurs !== true || (this.#copy !== null && this.#copy.file !== state.file))
      throw meddled(this.#partition);
    return state;
  }

  #cursor(state: PartitionCursor['state'], at: Json): Json {
    return { partition: this.#index, state, at };
  }
}

const notAllKept = ({ schema, name }: PartitionSpec, found: number, copied: number): Stop =>
  new Stop(
    'ROWS_KEPT',
    `The detached partition ${schema}.${name} holds ${found} rows, and the archive ${copied} of it: it is not dropped. Cancel the run and plan again.`,
  );
