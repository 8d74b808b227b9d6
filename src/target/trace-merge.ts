import type { Relation } from './catalog.ts';
import type { Place } from './duplicate-places.ts';
import { type Conflict, findCollisions } from './find-collisions.ts';
import type { MergeEdge, MergeGraph } from './merge-graph.ts';
import { isOneOf, type Pair, placeOf, textOf } from './row-pairs.ts';
import type { Session } from './session.ts';
import { ident, integer, sql } from './sql.ts';
import { references, rowsOf } from './reached-tables.ts';

/** What becomes of one table's rows. */
export interface MergedTable {
  readonly relation: Relation;
  readonly gone: readonly Pair[];
  /** rows that stay, and whose references change */
  readonly repointed: readonly Place[];
}

export interface Merge {
  /** Those that have rows in it. */
  readonly tables: readonly MergedTable[];
  readonly conflicts: readonly Conflict[];
  /** Rows without those that were given. */
  readonly reached: number;
}

/** Keys of the table to tables of which rows go. */
export const liveEdges = ({ edges }: MergeGraph, { tables }: Merge, { oid }: Relation): MergeEdge[] =>
  edges.filter(
    ({ child, parent }) =>
      child.oid === oid &&
      tables.some(({ relation, gone }) => relation.oid === parent.oid && gone.length > 0),
  );

export interface TraceOptions {
  /** nobody changes the rows until the transaction ends */
  readonly lock: boolean;
  /** more rows than this are not followed */
  readonly maxRows: number;
}

/**
 * Everything that follows when rows of the subject go and others stay for them: which rows reference those that go, which of
 * these become duplicates themselves once they are re-pointed, which rows reference those in their turn, and so on. A row is
 * locked before what references it is looked for: whoever adds a reference meanwhile waits, and finds the row gone.
 * Null: it would be more than maxRows.
 */
export async function traceMerge(
  session: Session,
  graph: MergeGraph,
  pairs: readonly Pair[],
  options: TraceOptions,
): Promise<Merge | null> {
  const state = new MergeState(graph);
  state.addGone(graph.subject, pairs);
  for (let parent = state.next(); parent !== null; parent = state.next()) {
    const touched = await followReferences(session, state, parent, options);
    if (touched === null) return null;
    for (const child of touched) {
      const edges = state.liveEdges(child);
      const question = {
        child,
        edges,
        pairs: state.pairs,
        moved: state.moved(child),
        gone: state.gone(child),
      };
      const uniqueKeys = graph.uniqueKeys.get(child.oid) ?? [];
      const collisions = await findCollisions(session, question, uniqueKeys, options);
      state.addGone(child, collisions.same);
      state.setConflicts(child, collisions.conflicts);
    }
  }
  return state.merge(pairs.length);
}

/** The tables that got rows; null: too many. */
async function followReferences(
  session: Session,
  state: MergeState,
  parent: Relation,
  { lock, maxRows }: TraceOptions,
): Promise<ReadonlySet<Relation> | null> {
  const fresh = state.takeFresh(parent);
  const touched = new Set<Relation>();
  for (const edge of state.edgesTo(parent)) {
    const room = maxRows - state.reached + state.known(edge.child);
    const found = await readReferencing(session, edge, fresh, { lock, room });
    if (found.length > room) return null;
    if (state.addMoved(edge.child, found)) touched.add(edge.child);
  }
  return touched;
}

async function readReferencing(
  session: Session,
  edge: MergeEdge,
  parents: readonly Place[],
  { lock, room }: { readonly lock: boolean; readonly room: number },
): Promise<Place[]> {
  const [parent, child] = [ident('parent'), ident('child')];
  const rows = await session.query<{ place: string }>(sql`
    SELECT ${child}.ctid::pg_catalog.text AS place FROM ${rowsOf(edge.child, child)}
     WHERE EXISTS (SELECT FROM ${rowsOf(edge.parent, parent)}
                    WHERE ${isOneOf(sql`${parent}.ctid`, parents)} AND ${references({ ...edge }, parent, child)})
     LIMIT ${integer(room + 1)}${lock ? sql` FOR UPDATE OF ${child}` : sql``}`);
  return rows.map(({ place }) => placeOf(place));
}

class MergeState {
  readonly #graph: MergeGraph;
  readonly #gone = new Map<number, Map<string, Pair>>();
  readonly #moved = new Map<number, Map<string, Place>>();
  readonly #fresh = new Map<number, Place[]>();
  readonly #conflicts = new Map<number, readonly Conflict[]>();
  #reached = 0;

  constructor(graph: MergeGraph) {
    this.#graph = graph;
  }

  get reached(): number {
    return this.#reached;
  }

  known({ oid }: Relation): number {
    return (this.#moved.get(oid)?.size ?? 0) + (this.#gone.get(oid)?.size ?? 0);
  }

  edgesTo({ oid }: Relation): MergeEdge[] {
    return this.#graph.edges.filter(({ parent }) => parent.oid === oid);
  }

  /** Keys of the child to tables of which rows go. */
  liveEdges({ oid }: Relation): MergeEdge[] {
    return this.#graph.edges.filter(({ child, parent }) => child.oid === oid && this.#gone.has(parent.oid));
  }

  addGone({ oid }: Relation, pairs: readonly Pair[]): void {
    if (pairs.length === 0) return;
    const known = this.#gone.get(oid) ?? new Map<string, Pair>();
    this.#gone.set(oid, known);
    const fresh = pairs.filter(({ gone }) => !known.has(textOf(gone)));
    for (const pair of fresh) known.set(textOf(pair.gone), pair);
    this.#fresh.set(oid, [...(this.#fresh.get(oid) ?? []), ...fresh.map(({ gone }) => gone)]);
  }

  /** Whether there were new ones. A row that goes needs no new reference. */
  addMoved({ oid }: Relation, places: readonly Place[]): boolean {
    const known = this.#moved.get(oid) ?? new Map<string, Place>();
    this.#moved.set(oid, known);
    const before = known.size;
    for (const place of places)
      if (this.#gone.get(oid)?.has(textOf(place)) !== true) known.set(textOf(place), place);
    this.#reached += known.size - before;
    return places.length > 0;
  }

  setConflicts({ oid }: Relation, conflicts: readonly Conflict[]): void {
    this.#conflicts.set(oid, conflicts);
  }

  next(): Relation | null {
    return this.#graph.tables.find(({ oid }) => (this.#fresh.get(oid)?.length ?? 0) > 0) ?? null;
  }

  takeFresh({ oid }: Relation): Place[] {
    const fresh = this.#fresh.get(oid) ?? [];
    this.#fresh.delete(oid);
    return fresh;
  }

  /** Who stays for a row that was to stay and goes too stays for both. */
  readonly pairs = ({ oid }: Relation): Pair[] => {
    const known = this.#gone.get(oid) ?? new Map<string, Pair>();
    const last = (place: Place): Place => {
      const next = known.get(textOf(place));
      return next === undefined ? place : last(next.stays);
    };
    return [...known.values()].map(({ gone, stays }) => ({ gone, stays: last(stays) }));
  };

  moved({ oid }: Relation): Place[] {
    const gone = this.#gone.get(oid);
    return [...(this.#moved.get(oid) ?? [])].flatMap(([text, place]) =>
      gone?.has(text) === true ? [] : [place],
    );
  }

  gone({ oid }: Relation): Place[] {
    return [...(this.#gone.get(oid)?.values() ?? [])].map(({ gone }) => gone);
  }

  merge(given: number): Merge {
    const tables = this.#graph.tables.map((relation) => ({
      relation,
      gone: this.pairs(relation),
      repointed: this.moved(relation),
    }));
    const gone = tables.reduce((sum, table) => sum + table.gone.length, 0);
    const repointed = tables.reduce((sum, table) => sum + table.repointed.length, 0);
    return {
      tables: tables.filter((table) => table.gone.length + table.repointed.length > 0),
      conflicts: [...this.#conflicts.values()].flat(),
      reached: gone + repointed - given,
    };
  }
}
