import type { OperationSpec } from '../../domain/plan.ts';
import type { ArchiveContent } from '../../domain/archive-content.ts';
import { Stop } from '../../domain/stop.ts';
import { chooseKeepers } from '../../target/choose-keepers.ts';
import { hasWholeKey, readKeyHash, uniqueIndexSql } from '../../target/duplicate-key.ts';
import { type MergeGraph, readMergeGraph } from '../../target/merge-graph.ts';
import { compileFilter } from '../../target/row-filter.ts';
import type { Session } from '../../target/session.ts';
import { ident, sql } from '../../target/sql.ts';
import { type Merge, traceMerge } from '../../target/trace-merge.ts';
import { createHolder, createPartHolders } from '../archive-table.ts';
import {
  type BatchSize,
  BatchTooLarge,
  type BatchWork,
  type Json,
  type Operation,
  type OperationContext,
  type Piece,
  type StoredPart,
  type Treated,
} from '../define-operation.ts';
import { DuplicatePicker, type PickedDuplicates } from '../duplicate-picker.ts';
import { keepMerged } from '../keep-merged.ts';
import { type PartKeeper, partKeeper } from '../keep-parts.ts';
import { mergeRows } from '../merge-rows.ts';
import { keepsNothing } from '../picked-work.ts';

type Deduplication = Extract<OperationSpec, { kind: 'DEDUPLICATION' }>;
type Context = OperationContext<Deduplication>;

/** Of rows with the same key all but one go into an archive; what references them is pointed at the one that stays. */
export const deduplication = {
  kind: 'DEDUPLICATION',
  counts: 'rowsArchived',
  async open(context: Context): Promise<BatchWork> {
    const { session, spec } = context;
    const graph = await openGraph(context);
    if (spec.destination.kind === 'TABLE') {
      await createHolder(context, spec.destination);
      await createPartHolders(context, spec.destination, graph);
    }
    const picker = new DuplicatePicker(session, await hashedRows(context), context.cursor);
    return mergingWork(context, graph, picker);
  },
} satisfies Operation<Deduplication>;

async function openGraph({ session, relation, spec, plan }: Context): Promise<MergeGraph> {
  const follow = spec.references === 'REPOINT';
  const graph = await session.transaction(() => readMergeGraph(session, relation, { follow }));
  const other = graph.tables.find(({ oid }) => !plan.relations.some((planned) => planned.oid === oid));
  if (!follow || other === undefined) return graph;
  throw new Stop(
    'SCHEMA_DRIFT',
    `${other.schema}.${other.name} references the rows now, and did not when the plan was made. Cancel this run and plan again.`,
  );
}

async function hashedRows({ session, relation, spec }: Context) {
  const hash = await readKeyHash(session, relation, spec.key);
  if (hash === null) throw new TypeError('The plan was for a key that can be hashed');
  const whole = hasWholeKey(relation, spec.key);
  return {
    table: ident(relation.schema, relation.name),
    hash,
    where: spec.filter === null ? whole : sql`${whole} AND ${compileFilter(spec.filter, relation)}`,
    estimatedRows: Math.max(relation.estimatedRows, relation.pages),
  };
}

function mergingWork(context: Context, graph: MergeGraph, picker: DuplicatePicker): BatchWork {
  const counter = new RepointedRows(context.cursor);
  const pieces = new Map<Piece, PickedDuplicates>();
  return {
    mode: 'BATCHES',
    overlaps: false, // two batches may re-point the same row, and merge into the same one
    get hasNext() {
      return picker.hasNext;
    },
    prepare: () => picker.prepare(),
    pick: (size) => {
      const picked = picker.pick(size.units);
      const piece: Piece = { treat: (session) => treat(context, graph, session, picked, size, counter) };
      pieces.set(piece, picked);
      return piece;
    },
    confirm: (piece, rows) => {
      picker.confirm(pieces.get(piece) as PickedDuplicates, rows);
      pieces.delete(piece);
      counter.confirm();
    },
    rewind: () => {
      pieces.clear();
      picker.rewind();
    },
    finish: () => Promise.resolve(),
    figures: () => ({ rowsRepointed: counter.total, nextStep: nextStep(context) }),
  };
}

/** A rewrite can wait; without the index the duplicates come back. */
function nextStep({ relation, spec }: Context): string {
  const filter = spec.filter === null ? null : compileFilter(spec.filter, relation);
  return `To keep it so: ${uniqueIndexSql(relation, spec.key, filter)}; then planReorganization with method VACUUM makes the room of the rows reusable.`;
}

/** A key with many references cannot be parted from them: so many rows in one transaction. */
const MAX_OF_ONE = 200_000;
const MAX_BYTES_OF_ONE = 64 * 1024 * 1024;

async function treat(
  context: Context,
  graph: MergeGraph,
  session: Session,
  picked: PickedDuplicates,
  size: BatchSize,
  counter: RepointedRows,
): Promise<Treated> {
  const { relation, spec } = context;
  const filter = spec.filter === null ? null : compileFilter(spec.filter, relation);
  const question = { relation, key: spec.key, keep: spec.keep, filter };
  const pairs = await chooseKeepers(session, question, picked.places, { lock: true });
  const done = { units: picked.places.length, cursor: counter.with(picked.cursor, 0) };
  if (pairs.length === 0) return { ...done, rows: 0, store: keepsNothing };
  if (pairs.length > size.maxRows) throw new BatchTooLarge('ROWS');
  const isOne = pairs.length === 1;
  const maxRows = isOne ? Math.max(MAX_OF_ONE, size.maxRows) : size.maxRows;
  const merge = await traceMerge(session, graph, pairs, { lock: true, maxRows });
  if (merge === null) throw new BatchTooLarge('ROWS');
  refuse(spec, merge);
  const keeper = partKeeper(
    context,
    session,
    isOne ? Math.max(MAX_BYTES_OF_ONE, size.maxBytes) : size.maxBytes,
  );
  const partNumber = (oid: number) => context.plan.relations.findIndex((planned) => planned.oid === oid);
  await keepMerged(keeper, context.content as ArchiveContent, graph, merge, partNumber);
  await mergeRows(session, graph, merge);
  return {
    ...done,
    ...counted(merge, graph),
    cursor: counter.with(picked.cursor, repointedIn(merge)),
    ...stored(keeper),
  };
}

function refuse({ references }: Deduplication, { conflicts, reached }: Merge): void {
  const [conflict] = conflicts;
  if (references === 'REFUSE' && reached > 0) {
    throw new Stop(
      'DEPENDENTS',
      'Rows reference duplicates now, and the plan refuses references. Remove or re-point them, then resume; or plan again with references: REPOINT.',
    );
  }
  if (conflict === undefined) return;
  const { relation, uniqueKey, rows } = conflict;
  throw new Stop(
    'CONFLICT',
    `${rows} rows of ${relation.schema}.${relation.name} that reference duplicates would have the same ${uniqueKey} as others once they are re-pointed, and differ in other columns. ` +
      'Nothing of this batch is changed. Decide which of them is right, then resume; or cancel the run.',
  );
}

function counted({ tables }: Merge, { subject }: MergeGraph): Pick<Treated, 'rows' | 'included'> {
  const gone = (isOwn: boolean) =>
    tables
      .filter(({ relation }) => (relation.oid === subject.oid) === isOwn)
      .reduce((sum, table) => sum + table.gone.length, 0);
  return { rows: gone(true), included: gone(false) };
}

const repointedIn = ({ tables }: Merge): number =>
  tables.reduce((sum, { repointed }) => sum + repointed.length, 0);

/** The subject's rows are the batch's own. */
function stored(keeper: PartKeeper): Pick<Treated, 'store' | 'storeParts'> {
  let parts: readonly StoredPart[] = [];
  return {
    store: async () => {
      parts = await keeper.store();
      return parts.find(({ part }) => part === 0)?.frame ?? null;
    },
    storeParts: () => Promise.resolve(parts.filter(({ part }) => part !== 0)),
  };
}

/** Re-pointed rows, counted along with the cursor, so that whoever goes on knows of those before. One batch is under way at a time. */
class RepointedRows {
  #confirmed: number;
  #open = 0;

  constructor(cursor: Json) {
    this.#confirmed = (cursor as { repointed?: number } | null)?.repointed ?? 0;
  }

  get total(): number {
    return this.#confirmed;
  }

  with(cursor: PickedDuplicates['cursor'], rows: number): Json {
    this.#open = rows;
    return { ...cursor, repointed: this.#confirmed + rows };
  }

  confirm(): void {
    this.#confirmed += this.#open;
    this.#open = 0;
  }
}
