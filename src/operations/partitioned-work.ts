import type { PartitionSpec } from '../domain/partition.ts';
import type { OperationSpec, RelationIdentity } from '../domain/plan.ts';
import { Stop } from '../domain/stop.ts';
import { readRelationByOid, type Relation } from '../target/catalog.ts';
import type { BatchSize, BatchWork, OperationContext, Piece } from './define-operation.ts';
import { behind, type PartitionCursor, partitionCursor } from './partition-cursor.ts';
import { WholePartition } from './whole-partition.ts';

type Removal = Extract<OperationSpec, { kind: 'PURGE' | 'ARCHIVE' }>;

/** How a kind treats the rows of one ordinary table. */
type OpenTable<Spec extends Removal> = (context: OperationContext<Spec>) => Promise<BatchWork>;

/** One partition after the other, each as the plan says. */
export class PartitionedWork<Spec extends Removal> implements BatchWork {
  readonly mode = 'BATCHES';
  readonly overlaps = false;
  readonly #context: OperationContext<Spec>;
  readonly #openTable: OpenTable<Spec>;
  readonly #partitions: readonly PartitionSpec[];
  readonly #pieces = new Map<Piece, Piece>();
  #cursor: PartitionCursor;
  #current: BatchWork | null = null;

  constructor(context: OperationContext<Spec>, openTable: OpenTable<Spec>) {
    this.#context = context;
    this.#openTable = openTable;
    this.#partitions = context.spec.partitions ?? [];
    this.#cursor = partitionCursor(context.cursor);
  }

  get hasNext(): boolean {
    return this.#current?.hasNext ?? false;
  }

  async prepare(): Promise<boolean> {
    for (;;) {
      if (this.#current !== null) {
        if (this.#current.hasNext || (await this.#current.prepare())) return true;
        this.#cursor = this.#behind(this.#current);
        this.#current = null;
      }
      const partition = this.#partitions[this.#cursor.partition];
      if (partition === undefined) return false;
      this.#current = await this.#open(partition);
    }
  }

  pick(size: BatchSize): Piece {
    if (this.#current === null) throw new TypeError('pick() without hasNext');
    const { partition } = this.#cursor;
    const inner = this.#current.pick(size);
    const piece: Piece = {
      tables: this.#tables(),
      treat: async (session) => {
        const treated = await inner.treat(session);
        const isWhole = this.#current instanceof WholePartition;
        return isWhole ? treated : { ...treated, cursor: { partition, state: 'ROWS', at: treated.cursor } };
      },
    };
    this.#pieces.set(piece, inner);
    return piece;
  }

  confirm(piece: Piece, rows: number): void {
    this.#current?.confirm(this.#pieces.get(piece) as Piece, rows);
    this.#pieces.delete(piece);
  }

  rewind(): void {
    this.#pieces.clear();
    this.#current?.rewind();
  }

  /** Where to go on when a partition is done, or turns out to be no whole. */
  #behind(work: BatchWork): PartitionCursor {
    const { partition } = this.#cursor;
    if (work instanceof WholePartition && work.goesByRows) return { partition, state: 'ROWS', at: null };
    return behind(partition);
  }

  /** What a batch looks at: all tables of the plan but the other partitions, and this one only as long as it is as planned. */
  #tables(): readonly RelationIdentity[] {
    const own = this.#partitions[this.#cursor.partition];
    const isDetached = this.#current instanceof WholePartition && this.#current.isDetached;
    const others = new Set(this.#partitions.filter((one) => one !== own || isDetached).map(({ oid }) => oid));
    return this.#context.plan.relations.filter(({ oid }) => !others.has(oid));
  }

  async #open(partition: PartitionSpec): Promise<BatchWork> {
    const { state, at } = this.#cursor;
    const relation = await this.#relationOf(partition);
    const context = { ...this.#context, relation, cursor: at };
    if (state === 'DETACHED' || (state === 'ATTACHED' && partition.way === 'WHOLE'))
      return new WholePartition(context, partition, this.#cursor);
    return this.#openTable({ ...context, spec: { ...context.spec, pick: partition.pick } });
  }

  /** Its columns in the order of the partitioned table: archives keep values in that order. */
  async #relationOf(partition: PartitionSpec): Promise<Relation> {
    const { session, relation: root } = this.#context;
    const relation = await session.transaction(() => readRelationByOid(session, partition.oid));
    const isAsPlanned =
      relation?.schema === partition.schema &&
      relation.name === partition.name &&
      (relation.isPartition || this.#cursor.state === 'DETACHED');
    if (!isAsPlanned) throw moved(partition);
    const columns = root.columns.flatMap(
      ({ name }) => relation.columns.find((column) => column.name === name) ?? [],
    );
    return { ...relation, columns };
  }
}

const moved = ({ schema, name }: PartitionSpec): Stop =>
  new Stop(
    'SCHEMA_DRIFT',
    `The partition ${schema}.${name} was detached, dropped or renamed since the plan was made. Cancel this run and plan again.`,
  );
