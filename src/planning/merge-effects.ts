import type { PlanEffect, PlanNotice } from '../domain/plan.ts';
import { chooseKeepers, type KeeperQuestion } from '../target/choose-keepers.ts';
import type { DuplicatePlaces, Place } from '../target/duplicate-places.ts';
import type { MergeEdge, MergeGraph } from '../target/merge-graph.ts';
import { isOneOf, type Pair } from '../target/row-pairs.ts';
import { ident, integer, type Sql, sql } from '../target/sql.ts';
import { liveEdges, type Merge, traceMerge } from '../target/trace-merge.ts';
import { rowsOf, references } from '../target/reached-tables.ts';
import { referencingColumns } from '../target/merge-sql.ts';
import { nameOf, type PlanContext } from './plan-context.ts';
import { triggerEffects } from './trigger-effects.ts';
import { undeclaredReferences, type UndeclaredReference } from './undeclared-references.ts';

/** What would happen to a table's rows. */
export interface MergedRows {
  gone: number;
  repointed: number;
}

export interface MergeEffects {
  /** rows of the subject that go; of part of them when the time was up */
  readonly rows: number;
  readonly complete: boolean;
  /** by the OID of the table */
  readonly tables: ReadonlyMap<number, MergedRows>;
  /** by table and unique key */
  readonly conflicts: ReadonlyMap<
    string,
    { readonly name: string; readonly uniqueKey: string; rows: number }
  >;
  /** rows of other tables that reference a key which would change, by the key's name */
  readonly further: ReadonlyMap<string, { readonly edge: MergeEdge; rows: number }>;
  readonly undeclared: ReadonlyMap<UndeclaredReference, number>;
  /** the first that go */
  readonly sample: readonly Place[];
  readonly warnings: readonly PlanNotice[];
}

/** So many rows with equal keys are followed at once. */
const SLICE_ROWS = 5_000;
const SAMPLE_ROWS = 1_000;
/** More than a table has. */
const ALL = 1e12;

/** Follows every duplicate through all tables the way a run does, without a lock, slice by slice within the budget. */
export async function readMergeEffects(
  context: PlanContext,
  graph: MergeGraph,
  question: KeeperQuestion,
  places: DuplicatePlaces,
): Promise<MergeEffects> {
  const { subject } = graph;
  const soft = await undeclaredReferences(context, {
    subject,
    tables: [subject],
    edges: graph.edges,
    deletes: () => false,
    isCut: graph.isCut,
  });
  const total = new Totals(graph, soft.references);
  for (let at = 0; at < places.rows;) {
    const slice = places.take(at, SLICE_ROWS);
    const done = await context.budget.within(context.session, () =>
      followSlice(context, total, question, slice.places),
    );
    if (done === null) return total.effects(false, soft.warnings);
    // The row that stays of a part of a key meets the others later.
    if (slice.isCut) total.rows += 1;
    at = slice.end;
  }
  return total.effects(true, soft.warnings);
}

/** In one transaction; what it finds is added up at its end, all or nothing. */
async function followSlice(
  { session }: PlanContext,
  total: Totals,
  question: KeeperQuestion,
  places: readonly Place[],
): Promise<true> {
  const { graph } = total;
  const pairs = await chooseKeepers(session, question, places, { lock: false });
  if (pairs.length === 0) return true;
  const merge = (await traceMerge(session, graph, pairs, { lock: false, maxRows: ALL })) as Merge;
  const further = new Map<string, { edge: MergeEdge; rows: number }>();
  for (const { edge, statement } of changedKeys(graph, merge)) {
    const { rows } = await session.one<{ rows: number }>(statement);
    further.set(edge.key.name, { edge, rows });
  }
  const undeclared = new Map<UndeclaredReference, number>();
  for (const reference of total.soft) {
    const { rows } = await session.one<{ rows: number }>(softRows(reference, pairs));
    undeclared.set(reference, rows);
  }
  total.add(pairs, merge, further, undeclared);
  return true;
}

/** Keys to columns that a re-pointed row changes, where PostgreSQL does not pass the change on. */
function changedKeys(graph: MergeGraph, merge: Merge): { edge: MergeEdge; statement: Sql }[] {
  return graph.edges.flatMap((edge) => {
    const parent = merge.tables.find(({ relation }) => relation.oid === edge.parent.oid);
    if (parent === undefined || parent.repointed.length === 0) return [];
    const changed = referencingColumns(liveEdges(graph, merge, edge.parent));
    if (!edge.key.referencedColumns.some((column) => changed.includes(column))) return [];
    const [child, row] = [ident('child'), ident('parent')];
    const statement = sql`
      SELECT pg_catalog.count(*)::pg_catalog.int4 AS rows FROM ${rowsOf(edge.child, child)}
       WHERE (SELECT confupdtype <> 'c' FROM pg_catalog.pg_constraint WHERE oid = ${integer(edge.key.oid)})
         AND EXISTS (SELECT FROM ${rowsOf(edge.parent, row)}
                      WHERE ${isOneOf(sql`${row}.ctid`, parent.repointed)} AND ${references(edge, row, child)})`;
    return [{ edge, statement }];
  });
}

function softRows({ parent, child, condition }: UndeclaredReference, pairs: readonly Pair[]): Sql {
  const [row, referencing] = [ident('parent'), ident('child')];
  const gone = pairs.map((pair) => pair.gone);
  return sql`
    SELECT pg_catalog.count(*)::pg_catalog.int4 AS rows FROM ${rowsOf(child, referencing)}
     WHERE EXISTS (SELECT FROM ${rowsOf(parent, row)} WHERE ${isOneOf(sql`${row}.ctid`, gone)} AND ${condition(row, referencing)})`;
}

class Totals {
  readonly graph: MergeGraph;
  readonly soft: readonly UndeclaredReference[];
  rows = 0;
  readonly #tables = new Map<number, MergedRows>();
  readonly #conflicts = new Map<string, { name: string; uniqueKey: string; rows: number }>();
  readonly #further = new Map<string, { edge: MergeEdge; rows: number }>();
  readonly #undeclared = new Map<UndeclaredReference, number>();
  readonly #sample: Place[] = [];

  constructor(graph: MergeGraph, soft: readonly UndeclaredReference[]) {
    this.graph = graph;
    this.soft = soft;
  }

  add(
    pairs: readonly Pair[],
    { tables, conflicts }: Merge,
    further: ReadonlyMap<string, { edge: MergeEdge; rows: number }>,
    undeclared: ReadonlyMap<UndeclaredReference, number>,
  ): void {
    for (const table of tables) this.#addTable(table);
    for (const conflict of conflicts) this.#addConflict(conflict);
    for (const [name, { edge, rows }] of further)
      this.#further.set(name, { edge, rows: rows + (this.#further.get(name)?.rows ?? 0) });
    for (const [reference, rows] of undeclared)
      this.#undeclared.set(reference, rows + (this.#undeclared.get(reference) ?? 0));
    const room = SAMPLE_ROWS - this.#sample.length;
    if (room > 0) this.#sample.push(...pairs.slice(0, room).map(({ gone }) => gone));
  }

  #addTable({ relation, gone, repointed }: Merge['tables'][number]): void {
    const sum = this.#tables.get(relation.oid) ?? { gone: 0, repointed: 0 };
    const more = { gone: sum.gone + gone.length, repointed: sum.repointed + repointed.length };
    this.#tables.set(relation.oid, more);
    if (relation.oid === this.graph.subject.oid) this.rows += gone.length;
  }

  #addConflict({ relation, uniqueKey, rows }: Merge['conflicts'][number]): void {
    const key = `${relation.oid} ${uniqueKey}`;
    const known = this.#conflicts.get(key)?.rows ?? 0;
    this.#conflicts.set(key, { name: nameOf(relation), uniqueKey, rows: known + rows });
  }

  effects(complete: boolean, warnings: readonly PlanNotice[]): MergeEffects {
    return {
      rows: this.rows,
      complete,
      tables: this.#tables,
      conflicts: this.#conflicts,
      further: this.#further,
      undeclared: this.#undeclared,
      sample: this.#sample,
      warnings,
    };
  }
}

/** What people are told of it. batches: how many the run will take. */
export function effectsOf(graph: MergeGraph, merged: MergeEffects, batches: number): PlanEffect[] {
  const { subject } = graph;
  const told = graph.tables.flatMap((relation): PlanEffect[] => {
    const { gone, repointed } = merged.tables.get(relation.oid) ?? { gone: 0, repointed: 0 };
    const edges = graph.edges.filter(({ child }) => child.oid === relation.oid);
    const keys = [...new Set(edges.map(({ key }) => key.name))].join(', ');
    const table = { schema: relation.schema, table: relation.name };
    return [
      ...(repointed === 0
        ? []
        : [
            {
              ...table,
              effect: 'REPOINT' as const,
              rows: repointed,
              detail: `${repointed} rows of ${nameOf(relation)} would be pointed at the rows that stay (${keys}).`,
            },
            ...triggerEffects(relation, 'UPDATE', repointed, batches, referencingColumns(edges)),
          ]),
      ...(gone === 0 || relation.oid === subject.oid
        ? []
        : [
            {
              ...table,
              effect: 'DELETE_INCLUDED' as const,
              rows: gone,
              detail: `${gone} rows of ${nameOf(relation)} would say the same as another once they are re-pointed: they go into the archive too.`,
            },
          ]),
      ...(gone === 0 ? [] : triggerEffects(relation, 'DELETE', gone, batches)),
    ];
  });
  return [...told, ...undeclaredEffects(merged)];
}

const undeclaredEffects = ({ undeclared }: MergeEffects): PlanEffect[] =>
  [...undeclared]
    .filter(([, rows]) => rows > 0)
    .map(([{ parent, child, column, key }, rows]) => ({
      schema: child.schema,
      table: child.name,
      effect: 'UNDECLARED_REFERENCE',
      rows,
      detail: `${rows} rows of ${nameOf(child)} seem to reference the rows of ${nameOf(parent)} that go, by ${column} = ${key}; no foreign key says so, and they would be left pointing at nothing.`,
    }));
